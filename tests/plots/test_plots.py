"""scripts/plots on run folders made here: every picture holds something, the page needs nothing else, exit codes."""
import html.parser
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import h5py
import matplotlib

matplotlib.use("Agg")
import matplotlib.image  # noqa: E402 (the backend comes first)
import numpy as np  # noqa: E402

PLOTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "plots")
EXPERTS, LAYERS = 8, 3


def written(group, name, values, description="what it is", units="1"):
    item = group.create_dataset(name, data=values)
    item.attrs["description"], item.attrs["units"] = description, units


def write_unit(units, name, steps, holdout=True):
    group = units.create_group(name)
    group.attrs["signal"] = "ce"
    step = np.arange(1, steps + 1)
    written(group, "step", step)
    written(group, "ce", (3 + 4 / np.sqrt(step)).astype("f4"), units="nat/token")
    if holdout:
        written(group, "holdout", np.where(step % 10 == 0, 4.0, np.nan).astype("f4"), units="nat/token")


def write_series(path, devices):
    with h5py.File(path, "w") as file:
        file.attrs["seed"], file.attrs["code_version"] = 1, "0.0.0"
        units = file.create_group("units")
        write_unit(units, "family_00000", 40)
        for n in range(devices):
            write_unit(units, f"device_{n:05}", 60 + n % 3)
        for n in range(2):
            write_unit(units, f"base_{n:05}", 1, holdout=False)
        write_unit(units, "tune", 500)
        clients = file.create_group("clients")
        written(clients, "device", np.arange(devices))
        written(clients, "up_bytes", np.arange(devices) * 1000 + 5, units="byte")
        written(clients, "down_bytes", np.zeros(devices, dtype=int), units="byte")
        ledger = file.create_group("ledger")
        ledger.attrs["classes"] = "weights,embedding"
        written(ledger, "up_bytes", np.array([[600000, 32], [400000, 32]]))
        written(ledger, "down_bytes", np.array([[0, 0], [0, 0]]))
        written(ledger, "formula_bytes", np.array([1000064, 0]))
        load = file.create_group("expert_load")
        written(load, "tokens", np.arange(LAYERS * EXPERTS).reshape(LAYERS, EXPERTS), units="token")
        validation = file.create_group("validation")
        written(validation, "document", np.arange(20))
        written(validation, "nll", np.linspace(300, 500, 20))
        written(validation, "tokens", np.full(20, 100))


def quality(value):
    return {"log_perplexity": value, "perplexity": math.exp(value), "token_accuracy": 0.25, "bits_per_byte": 2.0,
            "tokens": 2000}


def write_report(path, devices, method="deepfusion", score=3.5):
    rows = [(f"device {n}", None if n == 1 else 4.5 + 0.01 * n) for n in range(devices)]
    rows += [("proxy 0", 4.4), ("proxy 1", 4.3), ("base 0", 4.2), ("base 1", 4.1), ("merged", 4.0), ("tuned", score),
             ("public_only", 3.9)]
    half = list(range(0, devices, 2)), list(range(1, devices, 2))
    report = {"method": method, "seed": 1, "ranks": 2, "devices": devices, "family": "qwen2_moe", "finished": True,
              "recipe": "extended", "deck_hash": "0123456789abcdef", "verdict": {"sentence": "Worth <b>&</b> all."},
              "quality": {"letters": quality(score), "all": quality(score)},
              "baselines": {"public_only": {"all": quality(3.9)}, "best_device": None},
              "rows": [{"name": name, "quality": {"all": quality(value) if value else {"log_perplexity": None}}}
                       for name, value in rows],
              "clusters": [{"family": "gpt2", "members": half[0]}, {"family": "llama", "members": half[1]}],
              "communication": {"up_bytes": 1000064, "down_bytes": 0, "formula_bytes": 1000064, "formula_down_bytes": 0,
                                "per_device": [{"device": n, "family": "gpt2"} for n in range(devices)]},
              "phases": [{"name": "tuning", "seconds": 2.0, "tokens": 100, "tokens_per_s": 50, "gflops": 1.5}]}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(report, file)


def write_lineage(folder, devices):
    os.makedirs(os.path.join(folder, "checkpoint"))
    shares = np.zeros((EXPERTS, devices), dtype="f4")
    shares[: EXPERTS // 2, 0::2], shares[EXPERTS // 2:, 1::2] = 2 / devices, 2 / devices
    with h5py.File(os.path.join(folder, "checkpoint", "step_00000500.h5"), "w") as file:
        written(file, "lineage/expert_device", shares)


def write_market(path):
    names = ["aeria-t", "posted", "rsop", "pay-as-bid", "omniscient-f2"]
    random = np.random.Generator(np.random.PCG64(1))
    with h5py.File(path, "w") as file:
        simulation = file.create_group("simulation")
        simulation.attrs["mechanisms"], simulation.attrs["aeria"] = ",".join(names), "aeria-t"
        simulation.attrs["truthful"], simulation.attrs["benchmark"] = "yes,yes,yes,no,no", "no,no,no,no,yes"
        group = simulation.create_group("alexnet")
        slots = random.uniform(1, 2, (len(names), 60))
        for name in ("profit", "revenue"):
            written(group, f"slots/{name}", slots)
        for name in ("revenue", "ratio_mean", "ratio_min"):
            written(group, f"summary/{name}", slots.mean(axis=1) if name != "ratio_min" else slots.min(axis=1))
        written(group, "traffic/unit_cost", random.uniform(0, 1, 60))
        sweep = file.create_group("sweep/users/alexnet")
        written(sweep, "point", np.array([1.0, 2.0, 4.0, 8.0]), "users")
        written(sweep, "ratio_mean", random.uniform(0, 1, (4, len(names))))
        auction = file.create_group("auction")
        auction.attrs["capacity"] = 10
        for name, values in (("units", [4, 5, 0, 6]), ("bid", [8.0, 5.0, 0.0, 3.0]), ("payment", [4.0, 2.5, 0.0, 0.0]),
                             ("unit_price", [1.0, 0.5, 0.0, 0.0])):
            written(auction, name, np.array(values))
        for name, values in (("threshold", [0.9, 0.5]), ("leave_early", [0.1, 0.6]), ("accuracy", [0.3, 0.2])):
            written(file, f"policies/{name}", np.array(values))


class Page(html.parser.HTMLParser):
    """What a page refers to, its text, and whether its elements close in order."""

    def __init__(self):
        super().__init__()
        self.links, self.open, self.text, self.images, self.tags = [], [], "", [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "action", "data", "poster")]
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, text):
        self.text += text


class Plots(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """matplotlib says something where it makes its cache of fonts; it is to say it here."""
        cls.cache = tempfile.mkdtemp(prefix="edgefuse-plots-")
        cls.addClassCleanup(shutil.rmtree, cls.cache)
        subprocess.run([sys.executable, "-c", "import matplotlib.pyplot"], env=dict(os.environ, MPLCONFIGDIR=cls.cache),
                       stderr=subprocess.DEVNULL, check=True)

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="edgefuse-plots-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def make(self, name, devices=8, **report):
        os.makedirs(self.path(name))
        write_series(self.path(name, "run.h5"), devices)
        write_report(self.path(name, "report.json"), devices, **report)
        write_lineage(self.path(name), devices)
        return self.path(name)

    def plots(self, *arguments):
        """(exit code, files printed, lines on standard error)"""
        environment = dict(os.environ, MPLCONFIGDIR=self.cache, PYTHONWARNINGS="error::RuntimeWarning")
        done = subprocess.run([sys.executable, PLOTS, *arguments], env=environment, capture_output=True, text=True,
                              timeout=240, check=False)
        self.assertNotIn("Traceback", done.stderr)
        return done.returncode, done.stdout.split("\n")[:-1], done.stderr.split("\n")[:-1]

    def drawn(self, *arguments):
        """Names of the pictures of a run that ends with 0 and says nothing; each holds something."""
        code, files, errors = self.plots(*arguments)
        self.assertEqual((code, errors), (0, []))
        pictures = [file for file in files if file.endswith(".png")]
        for file in pictures:
            pixels = matplotlib.image.imread(file)[..., :3]
            self.assertGreater(pixels.var(), 1e-3, file)
            self.assertGreater(len(np.unique(pixels.reshape(-1, 3), axis=0)), 20, file)
            self.assertLess(pixels.shape[1], 1100, file)
        self.page = self.read_page(files[-1], len(pictures))
        return [os.path.basename(file)[:-4] for file in pictures]

    def read_page(self, path, pictures):
        with open(path, encoding="utf-8") as file:
            source = file.read()
        page = Page()
        page.feed(source)
        self.assertEqual(page.open, [])
        self.assertEqual(len(page.images), pictures)
        self.assertTrue(all(link.startswith("data:image/png;base64,") for link in page.links), page.links)
        self.assertTrue(all(image.get("alt") for image in page.images))
        without_data = re.sub(r"data:image/png;base64,[^\"]*", "", source)
        self.assertNotRegex(without_data, r"https?:|//|@import|url\(")
        self.assertFalse(page.tags & {"script", "link", "iframe", "object"})
        return page

    # ---- what is drawn

    def test_a_training(self):
        names = self.drawn(self.make("run"))
        self.assertEqual(names, ["loss", "quality", "bytes", "traffic", "experts", "lineage"])
        for text in ("deepfusion", "0123456789abcdef", "Worth <b>&</b> all.", "3.5000", "the two are equal to the byte",
                     "2 clusters"):
            self.assertIn(text, self.page.text)
        self.assertNotIn("Left out", self.page.text)

    def test_many_devices(self):
        names = self.drawn(self.make("run", devices=300))
        self.assertIn("lineage", names)

    def test_a_market(self):
        os.makedirs(self.path("market"))
        write_market(self.path("market", "market.h5"))
        names = self.drawn(self.path("market"))
        self.assertEqual(names, ["auction", "exits", "ratio", "revenue", "profit_alexnet", "sweep_users"])

    def test_several_runs(self):
        a, b = self.make("a"), self.make("b", method="fedavg", score=3.4)
        self.assertEqual(self.drawn(a, b, "--out", self.path("both")), ["perplexity"])
        self.assertIn("fedavg", self.page.text)
        self.assertIn("paired bootstrap", self.page.text)
        os.remove(self.path("b", "report.json"))
        self.assertEqual(self.drawn(self.folder), ["perplexity"])
        self.assertTrue(os.path.exists(self.path("plots", "perplexity.png")))
        self.assertIn("b: no report.json, the run is not finished", self.page.text)

    def test_one_method_on_several_numbers_of_ranks(self):
        for ranks, seconds in ((1, 8.0), (2, 4.0), (4, 4.0)):
            run = self.make(f"ranks_{ranks}")
            with open(os.path.join(run, "report.json"), encoding="utf-8") as file:
                report = json.load(file)
            phase = {"name": "tuning", "seconds": seconds, "tokens": 400, "tokens_per_s": 400 / seconds,
                     "compute_seconds": 0.75 * seconds, "exchange_seconds": 0.125 * seconds,
                     "wait_seconds": 0.125 * seconds, "exchange_bytes": 1234567 * (ranks - 1), "imbalance": 1.25}
            report.update(ranks=ranks, phases=[phase, {"name": "merge", "seconds": 0.01, "tokens": 0}])
            with open(os.path.join(run, "report.json"), "w", encoding="utf-8") as file:
                json.dump(report, file)
        self.assertEqual(self.drawn(self.folder), ["perplexity", "scaling"])
        self.assertIn("tuning44.001003.000.500.503,703,7011.25", self.page.text.replace("\n", ""))
        self.make("again")
        self.assertEqual(self.drawn(self.folder), ["perplexity"])
        self.assertIn("scaling over ranks: these are not runs of one method", self.page.text)

    def test_one_run_below_a_folder_is_that_run(self):
        self.make("only")
        self.assertIn("loss", self.drawn(self.folder))
        self.assertTrue(os.path.exists(self.path("only", "plots", "loss.png")))

    def test_the_same_bytes_twice(self):
        run = self.make("run")
        for out in ("1", "2"):
            self.plots(run, "--out", self.path(out))
        for name in os.listdir(self.path("1")):
            with open(self.path("1", name), "rb") as one, open(self.path("2", name), "rb") as two:
                self.assertEqual(one.read(), two.read(), name)

    # ---- what is missing

    def test_a_run_that_is_not_finished(self):
        run = self.make("run")
        os.remove(os.path.join(run, "report.json"))
        shutil.rmtree(os.path.join(run, "checkpoint"))
        self.assertEqual(self.drawn(run), ["loss", "bytes", "traffic", "experts"])
        self.assertIn("quality by stage: no report.json: the run is not finished", self.page.text)
        self.assertIn("lineage of the experts: no checkpoint", self.page.text)

    def test_missing_datasets_and_numbers(self):
        run = self.make("run")
        with h5py.File(os.path.join(run, "run.h5"), "r+") as file:
            del file["expert_load"], file["ledger/formula_bytes"], file["units/device_00003/step"]
            file["units/tune/ce"][10:] = np.nan
            file["units/device_00002/ce"][:] = np.nan
            file["units/family_00000/ce"][3] = np.inf
            file["validation/nll"][0] = np.nan
        self.assertEqual(self.drawn(run), ["loss", "quality", "traffic", "lineage"])
        self.assertIn("load of the experts: run.h5 has no load of experts", self.page.text)
        self.assertIn("no /ledger/formula_bytes", self.page.text)

    def test_one_step_and_old_files(self):
        run = self.make("run")
        with h5py.File(os.path.join(run, "run.h5"), "r+") as file:
            for name in list(file["units"]):
                del file["units"][name]
            for n in range(8):
                write_unit(file["units"], f"device_{n:05}", 1, holdout=False)
            del file["ledger"]
        self.assertIn("bytes", self.drawn(run))
        self.assertIn("does not tell the classes apart", self.page.text)

    def test_data_of_another_shape_leaves_out_a_picture(self):
        run = self.make("run")
        with h5py.File(os.path.join(run, "run.h5"), "r+") as file:
            del file["clients/down_bytes"]
            file["clients/down_bytes"] = np.zeros((2, 2, 2))
        code, files, errors = self.plots(run)
        self.assertEqual(code, 0)
        self.assertEqual(len(errors), 1)
        self.assertRegex(errors[0], "^plots: bytes of each device: damaged data")
        self.assertIn("Left out", self.read_page(files[-1], len(files) - 1).text)

    # ---- what ends it

    def ends(self, wanted, pattern, *arguments):
        code, files, errors = self.plots(*arguments)
        self.assertEqual((code, files, len(errors)), (wanted, [], 1), errors)
        self.assertRegex(errors[0], "^plots: .*" + pattern)

    def test_exit_codes(self):
        self.ends(2, "RUN")
        self.ends(2, "--nothing", "x", "--nothing")
        self.ends(4, "no such folder", self.path("nowhere"))
        self.ends(4, "neither market.h5 nor run.h5", self.folder)
        run = self.make("run")
        self.ends(6, "Not a directory", run, "--out", os.path.join(run, "run.h5", "below"))
        with open(os.path.join(run, "report.json"), "w", encoding="utf-8") as file:
            file.write('{"method": ')
        self.ends(4, "report.json: not readable JSON", run)
        os.remove(os.path.join(run, "report.json"))
        with open(os.path.join(run, "run.h5"), "r+b") as file:
            file.truncate(3000)
        self.ends(4, "run.h5: not a readable HDF5 file", run)
        os.remove(os.path.join(run, "run.h5"))
        shutil.rmtree(os.path.join(run, "checkpoint"))
        with open(os.path.join(run, "progress"), "w", encoding="utf-8") as file:
            file.write("tuning: step 3 of 9\n")
        self.ends(4, "it has not got that far .tuning: step 3 of 9", run)
        with h5py.File(os.path.join(run, "run.h5"), "w"):
            pass
        self.ends(4, "nothing to draw in run.h5", run)


if __name__ == "__main__":
    unittest.main()
