"""The arithmetic of scripts/tables against closed forms and brute force, and its pages on made-up run folders."""
import glob
import itertools
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts")
sys.dont_write_bytecode = True
sys.path.insert(0, SCRIPTS)

from results import interval, pages, runs  # noqa: E402 (the path comes first)


class Interval(unittest.TestCase):
    def test_pooled_is_not_a_mean_of_means(self):
        self.assertAlmostEqual(interval.pooled([10.0, 30.0], [10, 90]), 0.4)
        self.assertTrue(math.isnan(interval.pooled([], [])))

    def test_equal_differences_have_no_width(self):
        tokens = [7, 100, 31, 5]
        b = [3.0 * t for t in tokens]
        a = [3.25 * t for t in tokens]
        for value in interval.difference(a, b, tokens):
            self.assertAlmostEqual(value, 0.25, places=12)

    def test_all_draws_of_three_documents(self):
        """27 equally likely draws: the quantiles of ten thousand are among theirs, in the right places."""
        apart, tokens = [9.0, -2.0, 4.0], [10, 20, 5]
        draws = sorted(sum(apart[i] for i in draw) / sum(tokens[i] for i in draw)
                       for draw in itertools.product(range(3), repeat=3))
        value, low, high = interval.difference(apart, [0.0] * 3, tokens)
        self.assertAlmostEqual(value, 11.0 / 35.0)
        # 1/27 > 2.5 % of the draws are the first document alone (the greatest), as many the second (the least).
        self.assertAlmostEqual(low, draws[0])
        self.assertAlmostEqual(high, draws[-1])

    def test_against_plain_loops(self):
        """A plain bootstrap with other random numbers: quantiles agree within their own error."""
        plain = random.Random(3)
        tokens = [plain.randint(50, 500) for _ in range(60)]
        b = [3.0 * t + plain.gauss(0, 20) for t in tokens]
        a = [x + 0.05 * t + plain.gauss(0, 9) for x, t in zip(b, tokens)]
        drawn = []
        for _ in range(4000):
            some = [plain.randrange(60) for _ in range(60)]
            drawn.append(sum(a[i] - b[i] for i in some) / sum(tokens[i] for i in some))
        drawn.sort()
        value, low, high = interval.difference(a, b, tokens)
        width = drawn[3899] - drawn[99]
        self.assertAlmostEqual(value, (sum(a) - sum(b)) / sum(tokens))
        self.assertAlmostEqual(low, drawn[99], delta=0.06 * width)
        self.assertAlmostEqual(high, drawn[3899], delta=0.06 * width)

    def test_normal_limit(self):
        """Many documents of equal length: mean +- 1.96 standard errors."""
        random_numbers = np.random.Generator(np.random.PCG64(5))
        apart = random_numbers.normal(2.0, 10.0, 800)
        value, low, high = interval.difference(apart, np.zeros(800), np.full(800, 100))
        error = apart.std() / math.sqrt(800) / 100
        self.assertAlmostEqual(low, value - 1.96 * error, delta=0.1 * error)
        self.assertAlmostEqual(high, value + 1.96 * error, delta=0.1 * error)

    def test_same_numbers_every_time_and_opposite_signs(self):
        a, b, tokens = [5.0, 9.0, 2.0, 8.0], [4.0, 9.5, 2.5, 6.0], [3, 4, 1, 2]
        value, low, high = interval.difference(a, b, tokens)
        self.assertEqual((value, low, high), interval.difference(a, b, tokens))
        back = interval.difference(b, a, tokens)
        for x, y in zip(back, (-value, -high, -low)):
            self.assertAlmostEqual(x, y, places=12)

    def test_nothing_to_draw_from(self):
        for value in interval.difference([], [], []):
            self.assertTrue(math.isnan(value))

    def test_documents_of_several_seeds_stay_together(self):
        first = ({4: (8.0, 4), 9: (6.0, 2)}, {9: (5.0, 2), 4: (7.0, 4)})
        second = ({4: (3.0, 1)}, {4: (1.0, 1)})
        a, b, tokens = interval.pair([first, second])
        self.assertEqual((list(a), list(b), list(tokens)), ([11.0, 6.0], [8.0, 5.0], [5, 2]))

    def test_unlike_documents_are_not_compared(self):
        self.assertIsNone(interval.pair([({1: (1.0, 2)}, {1: (1.0, 3)})]))
        self.assertIsNone(interval.pair([({1: (1.0, 2)}, {2: (1.0, 2)})]))
        self.assertIsNone(interval.pair([]))

    def test_gap(self):
        self.assertAlmostEqual(interval.gap_closed(4.0, 3.75, 3.0), 0.25)
        self.assertAlmostEqual(interval.gap_closed(4.0, 4.5, 3.0), -0.5)
        self.assertTrue(math.isnan(interval.gap_closed(4.0, 3.0, 4.0)))
        self.assertTrue(math.isnan(interval.gap_closed(math.nan, 3.0, 2.0)))

    def test_wilson_solves_its_equation(self):
        """The ends are the shares p with |share - p| = 1.96 sqrt(p (1 - p) / items)."""
        for share, items in ((0.3, 50), (0.0, 20), (1.0, 20), (0.515, 1000)):
            for p in interval.wilson(share, items):
                p = min(max(p, 0.0), 1.0)
                self.assertAlmostEqual(abs(share - p), 1.959963984540054 * math.sqrt(p * (1 - p) / items), places=9)
        self.assertTrue(math.isnan(interval.wilson(0.5, 0)[0]))

    def test_mean_passes_over_what_is_missing(self):
        self.assertEqual(interval.mean([1.0, math.nan, 3.0, None]), 2.0)
        self.assertTrue(math.isnan(interval.mean([])))


def made_up(out, n, seed, method, score, phases, documents=True):
    """A run folder with what the tables read."""
    folder = os.path.join(out, "case1", f"N{n}", f"seed{seed}", method)
    os.makedirs(folder)
    report = {"method": method, "seed": seed, "deck_hash": "0123", "sgemm_peak_gflops": 50.0,
              "quality": {"all": {"log_perplexity": score, "token_accuracy": 0.25}},
              "baselines": {"public_only": None, "best_device": None},
              "rows": [{"name": "proxy 0", "total_steps": 1},
                       {"name": "tuned", "total_steps": 900, "sequential_steps": 450, "server_tokens": 5000,
                        "device_tokens": 7000}],
              "communication": {"up_bytes": 1000 * n, "down_bytes": 0},
              "device_memory": [{"device": 0, "peak_bytes": 2000000}, {"device": 1, "peak_bytes": 3000000}]}
    with open(os.path.join(folder, "report.json"), "w", encoding="utf-8") as file:
        json.dump(report, file)
    with open(os.path.join(folder, "metrics.jsonl"), "w", encoding="utf-8") as file:
        for name, place, seconds, flops in phases:
            event = {"event": "phase", "name": name, "place": place, "seconds": seconds, "flops": flops}
            file.write(json.dumps(event) + "\n")
        file.write('{"event": "pha')
    with open(os.path.join(folder, "settings.txt"), "w", encoding="utf-8") as file:
        file.write(f"deck case1_x.yaml 0f\nmethod {method}\nset text.folder=/home/someone\n"
                   f"set federation.devices={n}\nset run.seed={seed}\n")
    with h5py.File(os.path.join(folder, "run.h5"), "w") as file:
        file.attrs["code_revision"] = "abc"
        if documents:
            file["validation/document"] = np.array([3, 5, 8])
            file["validation/tokens"] = np.array([100, 300, 0])
            file["validation/nll"] = np.array([100 * score, 300 * score, 0.0])
    return folder


DEVICES = [("local training", "devices", 8.0, 4e12)]
NO_DEVICES = [("local training", "devices", 0.1, 0.0)]
SERVER = [("base start", "server", 1.0, 1e12), ("tuning", "server", 2.0, 2e12), ("tuning", "server", 1.0, 1e12)]


class Pages(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="edgefuse-tables-")
        self.out = self.folder.name
        self.addCleanup(self.folder.cleanup)

    def fill(self):
        for seed in (1, 2):
            made_up(self.out, 16, seed, "deepfusion", 3.0 + seed, DEVICES + SERVER)
            made_up(self.out, 16, seed, "deepfusion-paper", 3.5 + seed, NO_DEVICES + SERVER)
            made_up(self.out, 16, seed, "public_only", 4.0 + seed, SERVER)
            made_up(self.out, 16, seed, "central", 2.0 + seed, SERVER)
        made_up(self.out, 32, 1, "deepfusion", 3.9, DEVICES + SERVER, documents=False)
        os.makedirs(os.path.join(self.out, "case1", "N32", "seed1", "fedavg"))
        with open(os.path.join(self.out, "machine.txt"), "w", encoding="utf-8") as file:
            file.write("command scripts/reproduce.sh --quick --decks /home/me/decks --out runs/here\ncores 2\n")

    def row(self, title, name):
        """Cells of a row of the table under a title."""
        page = pages.Page(runs.Results(self.out)).text({})
        part = page.split(f"### {title}\n")[1].split("\n#")[0]
        rows = [line for line in part.splitlines() if line.startswith(f"| {name} |")]
        self.assertEqual(len(rows), 1)
        return [cell.strip() for cell in rows[0].strip("|").split("|")[1:]]

    def test_scores(self):
        self.fill()
        self.assertEqual(self.row("Log-perplexity", "deepfusion (paper)"),
                         ["5.0000 (+0.5000: +0.5000 to +0.5000)", "-"])
        self.assertEqual(self.row("Log-perplexity", "deepfusion (extended)"), ["4.5000", "3.9000 (1 of 2 seeds)"])
        self.assertEqual(self.row("Log-perplexity", "fedavg"), ["not run", "not run"])
        self.assertEqual(self.row("Gap closed", "deepfusion (extended)"), ["50.0", "- (1 of 2 seeds)"])
        self.assertEqual(self.row("Gap closed", "central")[0], "100.0")
        self.assertEqual(self.row("Token accuracy", "central")[0], "25.00")

    def test_costs(self):
        self.fill()
        self.assertEqual(self.row("Bytes up", "deepfusion (extended)"), ["16,000", "32,000 (1 of 2 seeds)"])
        self.assertEqual(self.row("Device memory", "deepfusion (extended)")[0], "3.0")
        self.assertEqual(self.row("Server steps", "deepfusion (extended)")[0], "900")
        self.assertEqual(self.row("Server work", "central")[0], "4e12")

    def test_shared_work_is_counted_in_full(self):
        self.fill()
        for name in ("deepfusion (extended)", "deepfusion (paper)"):
            self.assertEqual(self.row("Device work", name)[0], "4e12")
            self.assertEqual(self.row("Time", name)[0], "12")
        self.assertEqual(self.row("Device work", "public_only")[0], "0")

    def test_how_it_was_made(self):
        self.fill()
        page = pages.Page(runs.Results(self.out)).text({"case1": [("case1_cost.png", "cost")]})
        self.assertIn("edgefuse train inputs/case1_x.yaml --method central --set text.folder=someone "
                      "--set federation.devices=N --set run.seed=S", page)
        self.assertNotIn("home", page)
        self.assertIn("- Command: `scripts/reproduce.sh --quick --decks decks --out runs/here`", page)
        self.assertIn("- Cores: 2\n", page)
        self.assertIn("interrupted: case1 N=32 seed=1 fedavg.", page)
        self.assertIn("![cost](case1_cost.png)", page)

    def test_tasks(self):
        folder = made_up(self.out, 16, 1, "deepfusion", 3.0, SERVER)
        with open(os.path.join(folder, "task_mcq.json"), "w", encoding="utf-8") as file:
            json.dump({"task": "mcq", "all": {"items": 100, "accuracy": 0.5, "accuracy_normalised": 0.25,
                                              "accuracy_normalised_bytes": None, "chance": 0.25}}, file)
        cells = self.row("Task: multiple choice (%, with the 95 % interval of the items), N = 16",
                         "deepfusion (extended)")
        self.assertEqual(cells, ["100", "50.0 (40.4 to 59.6)", "25.0 (17.5 to 34.3)", "-", "25.0"])

    def command(self, *arguments):
        done = subprocess.run([sys.executable, os.path.join(SCRIPTS, "tables"), *arguments], capture_output=True,
                              text=True, check=False)
        return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()

    def test_command(self):
        self.fill()
        code, printed, errors = self.command(self.out)
        self.assertEqual((code, errors), (0, []))
        names = [os.path.basename(line) for line in printed]
        self.assertEqual(names, ["RESULTS.md", "case1_devices.png", "case1_cost.png", "case1_gap.png"])
        for path in printed:
            self.assertGreater(os.path.getsize(path), 1000)

    def test_kept_runs_give_the_same_page(self):
        self.fill()
        kept = os.path.join(self.out, "kept")
        code, printed, errors = self.command(self.out, "--keep", kept)
        self.assertEqual((code, printed, errors), (0, [f"9 runs kept in {kept}"], []))
        again = os.path.join(self.out, "again")
        self.command(self.out, "--keep", again)
        self.assertEqual(self.command(kept, "--keep", again)[0], 0)
        for path in glob.glob(os.path.join(kept, "**", "*.*"), recursive=True):
            with open(path, "rb") as one, open(path.replace(kept, again), "rb") as other:
                self.assertEqual(one.read(), other.read(), path)
        page = pages.Page(runs.Results(self.out)).text({})
        unfinished = "Without a result, for they failed or were interrupted: case1 N=32 seed=1 fedavg.\n\n"
        self.assertIn(unfinished, page)
        self.assertEqual(pages.Page(runs.Results(kept)).text({}), page.replace(unfinished, ""))
        self.assertEqual(sorted(os.listdir(os.path.join(kept, "case1", "N16", "seed1", "central"))),
                         ["metrics.jsonl", "report.json", "run.h5", "settings.txt"])

    def test_refused(self):
        for arguments, wanted in (([], 2), ([os.path.join(self.out, "nowhere")], 4), ([self.out], 4)):
            code, _, errors = self.command(*arguments)
            self.assertEqual((code, len(errors)), (wanted, 1), errors)
            self.assertTrue(errors[0].startswith("tables: "))
        folder = made_up(self.out, 16, 1, "deepfusion", 3.0, SERVER)
        with open(os.path.join(folder, "run.h5"), "wb") as file:
            file.write(b"no HDF5")
        code, _, errors = self.command(self.out)
        self.assertEqual((code, len(errors)), (4, 1), errors)


if __name__ == "__main__":
    unittest.main()
