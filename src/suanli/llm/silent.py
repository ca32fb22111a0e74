"""Config fields that need no reading: they leave shape and size alone, or repeat what the architecture
implies."""

from __future__ import annotations

SILENT = frozenset(
    """
    _name_or_path _suanli activation_dropout activation_function add_bos_token add_cross_attention
    add_eos_token add_full_attention_sink_bias alibi aligner_config
    apply_residual_connection_post_layernorm architectures attention_bias attention_chunk_size
    attention_dropout attention_probs_dropout_prob attention_softmax_in_fp32 attn_implementation
    attn_logit_softcapping attn_output_gate attn_pdrop attn_temperature_tuning auto_map aux_loss_alpha
    bad_words_ids begin_suppress_tokens bias_dropout_fusion boi_token_index bos_token_id chunk_size
    classifier_dropout clip_qkv compress_rope_theta cross_attention_hidden_size dataset
    decoder_start_token_id diversity_penalty do_layer_norm_before do_sample dropout dtype
    dual_chunk_attention_config early_stopping embd_pdrop embedding_dropout enable_bias
    encoder_no_repeat_ngram_size end_token_id eoi_token_index eos_token_id ep_size expand
    exponential_decay_length_penalty ffn_dropout final_logit_softcapping finetuning_task
    for_llm_compressor forced_bos_token_id forced_eos_token_id fp32_residual_connection
    full_attention_interval gate_lower_bound gradient_checkpointing hc_eps hc_sinkhorn_iters head_dim
    hidden_act hidden_activation hidden_dropout hidden_dropout_prob id2label
    ignore_keys_at_rope_validation image_token_id image_token_index index_rope_interleave
    indexer_rope_interleave init_std initial_context_length initializer_factor initializer_range
    intermediate_size_mlp is_decoder is_encoder_decoder kda_layers kv_cache_dtype label2id
    layer_norm_elementwise_affine layer_norm_eps layer_norm_epsilon layerdrop layernorm_epsilon
    length_penalty logits_scaling mamba_hidden_act mamba_ssm_cache_dtype mamba_ssm_dtype
    masked_softmax_fusion max_length max_position_embedding max_position_embeddings max_seq_len
    max_window_layers min_length mla_use_nope mlp_bias mlp_hidden_act mlp_only_layers model_max_length
    model_type moe_router_activation_func moe_router_dtype moe_router_topk_scaling_factor mscale
    mscale_all_dim mtp_loss_scaling_factor mtp_transformer_layers multi_query_attention n_ctx n_group
    n_positions no_repeat_ngram_size norm_eps norm_epsilon norm_topk_prob num_beam_groups num_beams
    num_expert_group num_hash_layers num_key_value_heads num_mtp_modules num_return_sequences offset_alibi
    original_max_position_embeddings original_rope output_attentions output_hidden_states
    output_router_logits output_scores pad_token_id parallel_attn partial_rotary_factor
    position_embedding_type post_layer_norm pre_seq_len prefix prefix_projection pretraining_tp
    problem_type pruned_heads qk_norm_type qk_rope_head_dim quantization query_pre_attn_scalar
    remove_invalid_values repetition_penalty rescale_prenorm_residual resid_pdrop residual_dropout
    residual_in_fp32 return_dict return_dict_in_generate rms_norm rms_norm_eps rope_head_dim
    rope_interleave rope_local_base_freq rope_parameters rope_pct rope_ratio rope_scaling rope_theta
    rope_type rotary rotary_base rotary_dim rotary_emb_base rotary_percent routed_scaling_factor
    router_aux_loss_coef router_jitter_noise router_z_loss_coef scale_attn_weights score_function
    scoring_func seed sep_token_id seq_aux seq_length sliding_window_size slow_but_exact softmax_scale
    sparse_disable_index_value sparse_init_block sparse_local_block sparse_score_type summary_activation
    summary_first_dropout summary_proj_to_labels summary_type summary_use_proj suppress_tokens
    swa_rope_theta swiglu_alpha swiglu_limit task_specific_params temperature tf_legacy_loss
    tie_encoder_decoder time_step_floor time_step_limit time_step_max time_step_min time_step_rank
    tokenizer_class top_k top_p topk_group topk_method torch_dtype torchscript transformers_version
    typical_p use_bfloat16 use_cache use_fast_conv_states use_mamba_kernels use_mem_eff_path
    use_mixed_mlp_moe use_mtp use_qk_norm use_return_dict use_sliding_window use_sparse_attention
    use_stable_embedding video_token_id vision_config vision_end_token_id vision_start_token_id
    vision_token_id word_embedding_proj_dim xla_device zoneout_prob
    """.split()  # noqa: SIM905 (some 250 names read better as text)
)
