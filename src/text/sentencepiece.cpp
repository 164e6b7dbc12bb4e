#include "text/sentencepiece.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>
#include <string>
#include <unordered_map>
#include <vector>

namespace sp = sentencepiece;

struct ef_sp {
  std::string model;
  sp::SentencePieceProcessor processor;
};

namespace {

void say(char *message, size_t size, const std::string &text) { snprintf(message, size, "%s", text.c_str()); }

/* Runs `body`, which returns a code, and lets no exception out. */
template <typename Body> ef_sp_code guarded(char *message, size_t size, Body body) {
  try {
    return body();
  } catch (const std::exception &error) {
    say(message, size, error.what());
  } catch (...) {
    say(message, size, "unknown exception");
  }
  return EF_SP_MACHINE;
}

class Texts : public sp::SentenceIterator {
public:
  Texts(const char *const *texts, const size_t *bytes, size_t count)
      : texts_(texts), bytes_(bytes), count_(count) {
    fill();
  }
  bool done() const override { return at_ == count_; }
  void Next() override {
    at_++;
    fill();
  }
  const std::string &value() const override { return value_; }
  sp::util::Status status() const override { return sp::util::Status(); }

private:
  void fill() {
    if (at_ < count_) value_.assign(texts_[at_], bytes_[at_]);
  }
  const char *const *texts_;
  const size_t *bytes_;
  size_t count_, at_ = 0;
  std::string value_;
};

/* Nothing is normalised, added or dropped; what the pieces do not cover falls back to bytes. */
std::unordered_map<std::string, std::string> options(size_t vocabulary) {
  return {{"model_type", "bpe"},
          {"vocab_size", std::to_string(vocabulary)},
          {"byte_fallback", "true"},
          {"normalization_rule_name", "identity"},
          {"remove_extra_whitespaces", "false"},
          {"add_dummy_prefix", "false"},
          {"split_digits", "true"},
          {"max_sentence_length", "1073741824"},
          {"shuffle_input_sentence", "false"},
          {"unk_id", "0"},
          {"bos_id", "1"},
          {"eos_id", "2"},
          {"pad_id", "-1"},
          {"num_threads", "1"},
          {"minloglevel", "4"}};
}

ef_sp_code open_model(std::string model, ef_sp **out, char *message, size_t size) {
  std::unique_ptr<ef_sp> made(new ef_sp);
  made->model = std::move(model);
  const sp::util::Status status = made->processor.LoadFromSerializedProto(made->model);
  if (!status.ok()) {
    say(message, size, status.ToString());
    return EF_SP_REFUSED;
  }
  *out = made.release();
  return EF_SP_OK;
}

} // namespace

ef_sp_code ef_sp_train(const char *const *texts, const size_t *bytes, size_t count, size_t vocabulary,
                       ef_sp **out, char *message, size_t message_size) {
  return guarded(message, message_size, [&] {
    Texts iterator(texts, bytes, count);
    std::string model;
    const sp::util::Status status = sp::SentencePieceTrainer::Train(options(vocabulary), &iterator, &model);
    if (!status.ok()) {
      say(message, message_size, status.ToString());
      return EF_SP_REFUSED;
    }
    return open_model(std::move(model), out, message, message_size);
  });
}

ef_sp_code ef_sp_load(const void *model, size_t model_bytes, ef_sp **out, char *message,
                      size_t message_size) {
  return guarded(message, message_size, [&] {
    return open_model(std::string(static_cast<const char *>(model), model_bytes), out, message, message_size);
  });
}

void ef_sp_free(ef_sp *sp) { delete sp; }

const void *ef_sp_model(const ef_sp *sp, size_t *model_bytes) {
  *model_bytes = sp->model.size();
  return sp->model.data();
}

size_t ef_sp_size(const ef_sp *sp) { return static_cast<size_t>(sp->processor.GetPieceSize()); }

ef_sp_kind ef_sp_piece(const ef_sp *sp, size_t id, const char **text, size_t *bytes) {
  const int piece = static_cast<int>(id);
  const std::string &spelling = sp->processor.IdToPiece(piece);
  *text = spelling.data();
  *bytes = spelling.size();
  if (sp->processor.IsByte(piece)) return EF_SP_BYTE;
  if (sp->processor.IsControl(piece)) return EF_SP_CONTROL;
  return sp->processor.IsUnknown(piece) ? EF_SP_UNKNOWN : EF_SP_TEXT;
}

ef_sp_code ef_sp_encode(const ef_sp *sp, const char *text, size_t bytes, int32_t *ids, size_t capacity,
                        size_t *count) {
  return guarded(nullptr, 0, [&] {
    std::vector<int> found;
    if (!sp->processor.Encode(std::string_view(text, bytes), &found).ok()) return EF_SP_REFUSED;
    *count = found.size();
    std::copy_n(found.begin(), std::min(capacity, found.size()), ids);
    return EF_SP_OK;
  });
}
