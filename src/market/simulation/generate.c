#include "market/trace.h"

#include "base/memory.h"
#include "base/rng.h"
#include <math.h>

static const double PI = 3.14159265358979323846;

/* Correlation after one hour, chance of a spike per hour and its mean height in volatilities. */
static const double PRICE_CORRELATION = 0.8, SPIKE_CHANCE = 0.02, SPIKE_HEIGHT = 8.0;

/* Steps of a stream are 32 bits wide: one per entry. */
static ef_status make(size_t count, ef_trace *trace) {
  *trace = (ef_trace){0};
  EF_TRY(EF_CHECK(count > 0 && count <= UINT32_MAX, EF_INPUT,
                  "a trace of %zu entries cannot be generated; give 1 to 4294967295", count));
  EF_TRY(EF_NEW(trace->value, count));
  trace->count = count;
  trace->synthetic = true;
  return EF_OK;
}

/* -1 at 4 h, +1 at 16 h. */
static double daily(size_t slot, double slot_s) {
  double hours = fmod((double)slot * slot_s / 3600.0, 24.0);
  return -cos(2.0 * PI * (hours - 4.0) / 24.0);
}

static ef_status check_slot(double slot_s) {
  return EF_CHECK(isfinite(slot_s) && slot_s > 0.0, EF_INPUT, "a slot of %g s; give more than 0", slot_s);
}

ef_status ef_trace_arrivals(size_t slots, double slot_s, int64_t least, int64_t most, uint64_t seed,
                            ef_trace *trace) {
  EF_TRY(check_slot(slot_s));
  EF_TRY(EF_CHECK(least >= 0 && least <= most, EF_INPUT,
                  "arrivals of %lld to %lld users a slot; give 0 <= least <= most", (long long)least,
                  (long long)most));
  EF_TRY(make(slots, trace));
  double low = (double)least, high = (double)most;
  for (size_t t = 0; t < slots; t++) {
    ef_rng rng = ef_rng_stream(seed, EF_RNG_TRACE, EF_TRACE_ARRIVALS, (uint32_t)t);
    double mean = low + (high - low) * (0.5 + 0.35 * daily(t, slot_s));
    double users = round(mean + sqrt(mean) * ef_rng_normal(&rng));
    trace->value[t] = fmin(fmax(users, low), high);
  }
  return EF_OK;
}

/* The autoregression is stationary from the first slot on: `noise` has variance 1 throughout. */
static void fill_prices(double slot_s, double volatility, uint64_t seed, ef_trace *trace) {
  double keep = pow(PRICE_CORRELATION, slot_s / 3600.0), noise = 0.0;
  double chance = fmin(SPIKE_CHANCE * slot_s / 3600.0, 1.0);
  for (size_t t = 0; t < trace->count; t++) {
    ef_rng rng = ef_rng_stream(seed, EF_RNG_TRACE, EF_TRACE_PRICE, (uint32_t)t);
    double fresh = ef_rng_normal(&rng);
    noise = t == 0 ? fresh : keep * noise + sqrt(1.0 - keep * keep) * fresh;
    bool spike = ef_rng_uniform(&rng) < chance;
    double height = -log(1.0 - ef_rng_uniform(&rng)) * SPIKE_HEIGHT * volatility;
    double base = 1.0 + 0.2 * daily(t, slot_s);
    trace->value[t] = base * exp(volatility * noise) * (spike ? 1.0 + height : 1.0);
  }
}

ef_status ef_trace_prices(size_t slots, double slot_s, double volatility, uint64_t seed, ef_trace *trace) {
  EF_TRY(check_slot(slot_s));
  EF_TRY(EF_CHECK(volatility >= 0.0 && volatility <= 2.0, EF_INPUT, "price volatility %g; give 0 to 2",
                  volatility));
  EF_TRY(make(slots, trace));
  fill_prices(slot_s, volatility, seed, trace);
  double mean = ef_trace_mean(trace);
  for (size_t t = 0; t < slots; t++) trace->value[t] /= mean;
  return EF_OK;
}

ef_status ef_trace_log_uniform(size_t count, double least, double greatest, uint64_t seed, uint64_t unit,
                               ef_trace *trace) {
  EF_TRY(EF_CHECK(isfinite(greatest) && least > 0.0 && least <= greatest, EF_INPUT,
                  "log-uniform numbers from %g to %g; give 0 < least <= greatest", least, greatest));
  EF_TRY(make(count, trace));
  for (size_t i = 0; i < count; i++) {
    ef_rng rng = ef_rng_stream(seed, EF_RNG_TRACE, unit, (uint32_t)i);
    double value = least * pow(greatest / least, ef_rng_uniform(&rng));
    trace->value[i] = fmin(fmax(value, least), greatest);
  }
  return EF_OK;
}
