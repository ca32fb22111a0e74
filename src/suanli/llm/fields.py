"""Read the fields of a config: typed, with synonyms, all problems at once, and knowing what was not understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Fields of Hugging Face configs that change neither shape nor size here, or that repeat what the architecture implies.
_SILENT = frozenset(
    """_name_or_path _suanli activation_function add_bos_token add_cross_attention add_eos_token aligner_config
    architectures attention_dropout attention_probs_dropout_prob attn_implementation
    attn_logit_softcapping attn_pdrop attn_temperature_tuning attention_softmax_in_fp32 auto_map aux_loss_alpha
    bad_words_ids begin_suppress_tokens boi_token_index bos_token_id chunk_size classifier_dropout clip_qkv
    cross_attention_hidden_size dataset decoder_start_token_id diversity_penalty do_sample dtype dual_chunk_attention_config
    early_stopping embd_pdrop embedding_dropout encoder_no_repeat_ngram_size end_token_id eoi_token_index eos_token_id ep_size
    exponential_decay_length_penalty ffn_dropout final_logit_softcapping finetuning_task for_llm_compressor
    forced_bos_token_id forced_eos_token_id gate_lower_bound gradient_checkpointing hidden_activation hidden_act
    hidden_dropout hidden_dropout_prob id2label ignore_keys_at_rope_validation image_token_id image_token_index
    indexer_rope_interleave init_std initial_context_length initializer_factor initializer_range is_decoder
    is_encoder_decoder label2id layer_norm_eps layer_norm_epsilon layer_norm_elementwise_affine
    layernorm_epsilon layerdrop length_penalty logits_scaling mamba_hidden_act mamba_ssm_cache_dtype mamba_ssm_dtype max_length
    max_position_embedding max_seq_len max_window_layers min_length mlp_hidden_act model_max_length moe_router_activation_func
    moe_router_topk_scaling_factor mscale mscale_all_dim n_ctx n_group no_repeat_ngram_size norm_eps norm_epsilon
    norm_topk_prob num_beam_groups num_beams num_expert_group num_return_sequences original_max_position_embeddings
    output_attentions output_hidden_states output_router_logits output_scores pad_token_id partial_rotary_factor
    position_embedding_type prefix prefix_projection pretraining_tp problem_type pruned_heads query_pre_attn_scalar
    quantization remove_invalid_values repetition_penalty rescale_prenorm_residual residual_dropout resid_pdrop
    residual_in_fp32 return_dict return_dict_in_generate rms_norm_eps rms_norm rope_interleave rope_local_base_freq
    rope_parameters rope_pct rope_ratio rope_scaling rope_theta rope_type rotary rotary_base rotary_dim rotary_emb_base
    rotary_percent routed_scaling_factor router_aux_loss_coef router_jitter_noise router_z_loss_coef scale_attn_weights
    scoring_func score_function seq_aux sep_token_id seq_length softmax_scale
    summary_activation summary_first_dropout summary_proj_to_labels summary_type summary_use_proj suppress_tokens
    swa_rope_theta swiglu_limit task_specific_params temperature tf_legacy_loss tie_encoder_decoder time_step_floor
    time_step_limit time_step_max time_step_min time_step_rank tokenizer_class top_k top_p topk_group topk_method
    torch_dtype torchscript transformers_version typical_p use_bfloat16 use_cache use_fast_conv_states use_mamba_kernels
    use_mem_eff_path use_return_dict use_sliding_window use_stable_embedding video_token_id vision_config
    vision_end_token_id vision_start_token_id vision_token_id xla_device seed kv_cache_dtype model_type
    apply_residual_connection_post_layernorm slow_but_exact masked_softmax_fusion offset_alibi bias_dropout_fusion
    word_embedding_proj_dim do_layer_norm_before activation_dropout dropout zoneout_prob
    moe_router_dtype mtp_loss_scaling_factor num_hash_layers swiglu_alpha pre_seq_len
    original_rope fp32_residual_connection post_layer_norm num_mtp_modules mtp_transformer_layers use_mtp
    max_position_embeddings n_positions index_rope_interleave hc_eps hc_sinkhorn_iters rope_head_dim
    compress_rope_theta alibi attn_output_gate enable_bias expand multi_query_attention qk_norm_type sliding_window_size
    use_mixed_mlp_moe attention_bias head_dim num_key_value_heads mlp_bias use_qk_norm full_attention_interval
    mlp_only_layers parallel_attn attention_chunk_size sparse_disable_index_value sparse_init_block sparse_local_block
    sparse_score_type qk_rope_head_dim mla_use_nope intermediate_size_mlp use_sparse_attention kda_layers add_full_attention_sink_bias""".split()
)


class Fields:
    """Typed access to a config. Every read marks the field as understood; problems are collected, not raised."""

    def __init__(self, config: Mapping[str, Any], place: str, problems: list[str] | None = None) -> None:
        self.config = config
        self.place = place
        self.problems: list[str] = [] if problems is None else problems
        self._used: set[str] = set()
        self._nested: dict[str, Fields] = {}

    def raw(self, *names: str) -> Any:
        """The value of the first of these fields that is there and not null; None otherwise."""
        self._used.update(names)
        for name in names:
            value = self.config.get(name)
            if value is not None:
                return value
        return None

    def name_of(self, *names: str) -> str:
        """The synonym that the config uses, for messages."""
        return next((name for name in names if self.config.get(name) is not None), names[0])

    def problem(self, name: str, text: str) -> None:
        """Note a problem with a field."""
        line = f"{self.place} {name}: {text}"
        if line not in self.problems:
            self.problems.append(line)

    def number(self, *names: str, default: int | None = None, minimum: int = 1) -> int:
        """A whole number; a missing one without default is a problem and reads as the minimum (at least 1)."""
        value = self.raw(*names)
        if value is None and default is not None:
            return default
        if value is None:
            self.problem(names[0], "missing; the size cannot be known without it")
            return max(minimum, 1)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < minimum:
            self.problem(self.name_of(*names), f"expected a whole number of at least {minimum}, got {value!r}")
            return max(minimum, 1)
        return int(value)

    def optional(self, *names: str) -> int | None:
        """A whole number above 0, or None where it is absent or null."""
        return None if self.raw(*names) is None else self.number(*names)

    def flag(self, name: str, default: bool = False) -> bool:
        """A true or false."""
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.problem(name, f"expected true or false, got {value!r}")
            return default
        return value

    def items(self, name: str) -> list[Any] | None:
        """A list, or None where it is absent; Step's comma-separated form reads too."""
        value = self.raw(name)
        if value is None:
            return None
        if isinstance(value, str):
            return [int(part) for part in value.split(",") if part.strip().isdigit()]
        if not isinstance(value, Sequence):
            self.problem(name, f"expected a list, got {value!r}")
            return None
        return list(value)

    def per_layer(self, name: str, layers: int) -> list[Any] | None:
        """A list with one entry a layer, or None where it is absent."""
        found = self.items(name)
        if found is not None and len(found) < layers:
            self.problem(name, f"has {len(found)} entries for {layers} layers")
            return None
        return found

    def nested(self, name: str) -> Fields:
        """The fields of an object inside, sharing the list of problems."""
        if name in self._nested:
            return self._nested[name]
        value = self.raw(name)
        if value is not None and not isinstance(value, Mapping):
            self.problem(name, f"expected an object, got {value!r}")
            value = None
        inner = Fields(value or {}, f"{self.place} {name}", self.problems)
        self._nested[name] = inner
        return inner

    def unknown(self) -> tuple[str, ...]:
        """Fields that nothing has asked for and that are not known to leave size and shape alone."""
        own = [name for name in self.config if name not in self._used and name not in _SILENT]
        inner = [f"{place}.{name}" for place, fields in self._nested.items() for name in fields.unknown()]
        return tuple(sorted({*own, *inner}))
