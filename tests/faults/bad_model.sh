#!/bin/bash
# Hugging Face folders that lie: code 4, one line that names the field or the tensor, and no output file.
# The good folder is a small llama made here, byte by byte, so that every lie can be told.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

config='{"model_type": "llama", "vocab_size": 8, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2,
 "num_key_value_heads": 2, "intermediate_size": 8, "max_position_embeddings": 16, "rms_norm_eps": 1e-6,
 "tie_word_embeddings": false}'
layer=model.layers.0
names=(model.embed_tokens "$layer.self_attn.q_proj" "$layer.self_attn.k_proj" "$layer.self_attn.v_proj"
  "$layer.self_attn.o_proj" "$layer.mlp.gate_proj" "$layer.mlp.up_proj" "$layer.mlp.down_proj" "$layer.input_layernorm"
  "$layer.post_attention_layernorm" model.norm lm_head)
shapes=(8x4 4x4 4x4 4x4 4x4 8x4 8x4 4x8 4 4 4 8x4)

# The entries of the header, one a line: "NAME" TYPE SHAPE BEGIN END; scripts below edit this list.
entries() {
  local i begin=0 bytes
  for i in "${!names[@]}"; do
    bytes=$((4 * ${shapes[i]/x/*}))
    echo "${names[i]}.weight F32 ${shapes[i]} $begin $((begin + bytes))"
    begin=$((begin + bytes))
  done
}

json() {
  local name type shape begin end comma=''
  printf '{'
  while read -r name type shape begin end; do
    printf '%s"%s": {"dtype": "%s", "shape": [%s], "data_offsets": [%s, %s]}' "$comma" "$name" "$type" "${shape/x/, }" "$begin" \
      "$end"
    comma=', '
  done
  printf '}'
}

# little NUMBER: eight bytes, the least first.
little() {
  local i number=$1 bytes=''
  for i in 1 2 3 4 5 6 7 8; do
    bytes+=$(printf '\\x%02x' $((number & 255)))
    number=$((number >> 8))
  done
  # shellcheck disable=SC2059
  printf "$bytes"
}

# folder CONFIG HEADER [LENGTH [DATA_BYTES]]: writes $work/model; LENGTH is what the file says of its header.
folder() {
  mkdir -p "$work/model"
  printf '%s\n' "$1" >"$work/model/config.json"
  {
    little "${3:-${#2}}"
    printf '%s' "$2"
    head -c "${4:-944}" /dev/zero
  } >"$work/model/model.safetensors"
}

# refused_import PATTERN
refused_import() {
  refused 4 "$1" import "$work/model" "$work/model.h5"
  absent "$work/model.h5"
}

good=$(entries | json)

# ---- the good folder -----------------------------------------------------------------------------------------

folder "$config" "$good"
edgefuse import "$work/model" "$work/good.h5"
ends 0
verified "$work/good.h5"
refused 4 'nowhere' import "$work/nowhere" "$work/model.h5"

# ---- config.json ---------------------------------------------------------------------------------------------

# configured SCRIPT PATTERN: the good config after this sed script.
configured() {
  folder "$(sed "$1" <<<"$config")" "$good"
  refused_import "$2"
}

rm "$work/model/config.json"
refused_import 'config.json'
configured 's/^{/{,/' 'config.json: line 1'
configured 's/"vocab_size": 8, //' '"vocab_size" is missing'
configured 's/"model_type": "llama", //' '"model_type" is missing'
configured 's/"hidden_size": 4, //' '"hidden_size" is missing'
configured 's/"max_position_embeddings": 16, //' '"max_position_embeddings" is missing'
configured 's/"llama"/"mamba"/' '"mamba"'
configured 's/"hidden_size": 4/"hidden_size": "4"/' '"hidden_size"'
configured 's/"vocab_size": 8/"vocab_size": -8/' '"vocab_size"'
configured 's/"num_hidden_layers": 1/"num_hidden_layers": 0/' '"num_hidden_layers"'
configured 's/"vocab_size": 8/"vocab_size": 8, "vocab_size": 9/' 'config.json: '
# Contradictions: heads that do not divide, a head width of its own, a vocabulary that the tensors do not have.
configured 's/"num_attention_heads": 2/"num_attention_heads": 3/' 'config.json: .*[Hh]ead'
configured 's/"num_key_value_heads": 2/"num_key_value_heads": 3/' 'config.json: .*[Hh]ead'
configured 's/"vocab_size": 8/"vocab_size": 8, "head_dim": 8/' '"head_dim"'
configured 's/"vocab_size": 8/"vocab_size": 9/' 'model.embed_tokens.weight|lm_head.weight'
configured 's/"hidden_size": 4/"hidden_size": 1000000000000/' 'config.json|memory'
# Options that would change the computation are refused by name.
configured 's/"vocab_size": 8/"vocab_size": 8, "rope_scaling": {"type": "linear", "factor": 2.0}/' '"rope_scaling"'
configured 's/"vocab_size": 8/"vocab_size": 8, "rope_parameters": {"rope_type": "yarn"}/' '"rope_parameters"'
configured 's/"vocab_size": 8/"vocab_size": 8, "hidden_act": "gelu"/' '"hidden_act"'
configured 's/"vocab_size": 8/"vocab_size": 8, "quantization_config": {"bits": 4}/' '"quantization_config"'
configured 's/"llama"/"qwen2"/; s/"vocab_size": 8/"vocab_size": 8, "use_sliding_window": true/' '"use_sliding_window"'
configured 's/"vocab_size": 8/"vocab_size": 8, "layer_types": ["sliding_attention"]/' '"layer_types"'

# ---- model.safetensors ---------------------------------------------------------------------------------------

# listed SCRIPT PATTERN: the good entries after this sed script.
listed() {
  folder "$config" "$(entries | sed "$1" | json)"
  refused_import "$2"
}

folder "$config" "$good"
rm "$work/model/model.safetensors"
refused_import 'safetensors'
folder "$config" "$good" 1000000
refused_import 'model.safetensors: .*header'
folder "$config" "$good" $(((1 << 62) + 1))
refused_import 'model.safetensors: .*header'
folder "$config" "$good" $((${#good} - 1))
refused_import 'model.safetensors: '
folder "$config" "$good" $((${#good} + 4))
refused_import 'model.safetensors: '
folder "$config" "$good" ${#good} 940
refused_import 'model.safetensors: '
folder "$config" "$good" ${#good} 948
refused_import 'model.safetensors: '
folder "$config" '[1, 2]'
refused_import 'model.safetensors: '
printf 'abc' >"$work/model/model.safetensors"
refused_import 'model.safetensors: .*too short'

q="$layer.self_attn.q_proj.weight"
listed "s/^$q F32 4x4 128 192/$q F32 4x4 112 176/" 'model.safetensors: '
listed "s/^$q F32 4x4 128 192/$q F32 4x4 132 196/" 'model.safetensors: '
listed "s/^$q F32 4x4 128 192/$q F32 4x4 192 128/" "$q"
listed "s/^$q F32 4x4 128 192/$q F32 4x4 128 188/" "$q"
listed "s/^$q F32 4x4 128 192/$q F99 4x4 128 192/" "$q"
listed "s/^$q F32 4x4 128 192/$q F32 -4x-4 128 192/" "$q"
listed "s/^$q F32 4x4 128 192/$q I32 4x4 128 192/" "$q"
listed "s/^$q F32 4x4 128 192/$q F32 2x8 128 192/" "$q"
listed "s/^$q F32 4x4 128 192/$q F32 16 128 192/" "$q"
listed "s/^$q /$layer.self_attn.x_proj.weight /" "$layer.self_attn.(x|q)_proj.weight"
listed "s/^$q /$layer.self_attn.k_proj.weight /" "k_proj.weight|not JSON|duplicate"
folder "$config" "$(entries | sed '$d' | json)" '' 816
refused_import 'lm_head.weight'

# A NaN, and an infinity, in one element of a tensor.
for bytes in '\x00\x00\xc0\x7f' '\x00\x00\x80\xff'; do
  folder "$config" "$good"
  printf '%b' "$bytes" | dd of="$work/model/model.safetensors" bs=1 seek=$((8 + ${#good} + 140)) conv=notrunc status=none
  refused_import "$q"
done

# A sharded index that names what is not there.
folder "$config" "$good"
mv "$work/model/model.safetensors" "$work/model/model-00001-of-00002.safetensors"
printf '{"weight_map": {"%s": "model-00002-of-00002.safetensors"}}' "$q" >"$work/model/model.safetensors.index.json"
refused_import 'model-00002-of-00002.safetensors'
printf '{"weight_map": {"%s": "../model/model-00001-of-00002.safetensors"}}' "$q" \
  >"$work/model/model.safetensors.index.json"
refused_import 'index.json|model-00001'
finish
