#include "report/report.h"

#include "report/market.h"
#include "report/rows.h"

/* Side of the square product that a phase's speed is compared with. */
enum { PEAK_SIDE = 1024 };

static ef_status measure(ef_report *r) {
  EF_TRY(ef_report_peak(r->run->kernels, PEAK_SIDE, &r->sgemm_peak));
  return ef_report_log(r);
}

/* The report is written also when the bytes disagree, so that one can see where. */
static ef_status check_bytes(const ef_report *r) {
  const uint64_t *formula = r->outcome->formula;
  return EF_CHECK(ef_report_bytes_agree(r), EF_FAULT,
                  "the ledger counts %llu bytes from and %llu to the devices, the formula %llu and %llu: see "
                  "report.md",
                  (unsigned long long)r->up_bytes, (unsigned long long)r->down_bytes,
                  (unsigned long long)formula[EF_UP], (unsigned long long)formula[EF_DOWN]);
}

ef_status ef_report_write(const ef_run *run, const ef_method *method, const ef_outcome *outcome) {
  ef_report report;
  EF_TRY(ef_report_make(run, method, outcome, &report));
  ef_status status = EF_OK;
  EF_GO(measure(&report));
  EF_GO(ef_report_write_series(&report));
  EF_GO(ef_report_market_file(run, &outcome->market));
  EF_GO(ef_report_write_md(&report));
  EF_GO(ef_report_write_json(&report));
  EF_GO(check_bytes(&report));
done:
  ef_report_free(&report);
  return status;
}
