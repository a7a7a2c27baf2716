"""Mutation testing: changes a copy of the package in one place after another, and runs the tests that should notice.

    python tests/mutate.py [--only PATTERN] [--jobs N] [--output FILE]

Prints for each row of ROWS whether its mutant was killed or survived. The exit status is 1 if less than the fraction ENOUGH was
killed, and 2 if a row is stale or its tests cannot be run.

A mutant breaks a law, as a top-5 that is a top-4 does, and a test of that law kills it. If one survives, write the test. If a row
is stale because the code has changed, anchor it anew: find where that law is kept now.
"""
# mutmut and cosmic-ray are not installed here: they make thousands of mutants, and each would start MindSpore for 5 seconds.

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("mindclf", "tests", "recipes", "pyproject.toml", "setup.py")  # of the repository, what the tests of the rows need
ENOUGH = 0.95
SECONDS = 300  # for the tests of a row, which take a few: a mutant that never ends is noticed too
PASSED, FAILED = 0, 1  # exit statuses of pytest; others say that the tests could not be run


class Row(NamedTuple):
    """A mutant: in `file` of mindclf/ the text `old`, which occurs there once, becomes `new`.

    `tests` are those that must fail then, as pytest names them, below tests/ and with a space between two.
    """

    file: str
    old: str
    new: str
    tests: str


class CannotRun(ValueError):
    """What is wrong with a row, or with its tests before anything is changed."""


OPTIMIZER = "train/test_model.py::test_every_optimizer_is_that_of_its_formula"
FIT = "train/test_fit.py::"
VIEWS = "dataset/test_views.py::"
POLICY = "dataset/test_policies.py::test_choices_of_a_policy_are_independent_of_each_other_and_of_flips"
BOX = VIEWS + "test_a_random_box_has_its_area_from_scale_and_its_shape_from_ratio"
MIXED = "train/test_batches.py::test_every_batch_of_every_epoch_and_worker_is_mixed_in_its_own_way"
RESUMED = "train/test_resume.py::test_a_run_goes_on_to_the_same_end_wherever_its_files_are_and_whatever_trains"
CALIBRATED = "test_quantize.py::test_what_calibrates_are_training_images_as_evaluation_sees_them"

ROWS = (
    # Nets
    Row("nets/layers.py", "rounded < 0.9 * value", "rounded < 0.5 * value",
        "nets/test_mobilenet_v2.py::test_make_divisible_never_loses_a_tenth"),
    Row("nets/dropout.py", " * (1 / (1 - self.p))", "",
        "nets/test_dropout.py::test_what_is_kept_keeps_the_mean_and_its_gradient"),
    Row("nets/layers.py", "-(-(index + 1) * length // count)", "(index + 1) * length // count",
        "nets/test_classic_nets.py::test_adaptive_average_is_the_mean_of_each_window"),
    Row("nets/layers.py", "False if frozen else None", "None",
        "nets/test_layers.py::test_a_frozen_backbone_does_not_move_in_training"),
    Row("label_issues.py", "np.where(probabilities >= thresholds, probabilities, -1.0)", "probabilities",
        "test_label_issues.py::test_the_issues_are_those_off_the_diagonal_of_the_confident_joint_but_for_most_probable_labels"),
    Row("dataset/near_duplicates.py", "hashes.shape[1]), MOST_BITS + 1)", "hashes.shape[1]), 2)",
        "dataset/test_near_duplicates.py::test_of_many_hashes_all_pairs_within_the_bits_are_found"),
    Row("dataset/near_duplicates.py", "MOST_LEFT = 0.02", "MOST_LEFT = 0.2",
        "dataset/test_near_duplicates.py::test_darker_and_paler_copies_share_a_group_and_other_colours_do_not"),
    Row("dataset/near_duplicates.py", "np.maximum(self.ratio[index]", "np.minimum(self.ratio[index]",
        "dataset/test_near_duplicates.py::test_what_a_change_of_brightness_and_contrast_leaves_is_that_of_least_squares"),
    Row("report/cross_validation.py", "ddof=1", "ddof=0",
        "report/test_cross_validation.py::test_mean_and_standard_deviation_are_over_the_folds"),
    Row("train/distillation.py", "self.temperature ** 2", "self.temperature",
        "train/test_distillation.py::test_the_loss_is_that_of_the_formula"),
    Row("nets/fold.py", " + norm.eps", "", "nets/test_fold.py::test_padding_and_epsilon_of_tensorflow_fold_too"),
    Row("nets/mobilenet_v2.py", "stride == 1 and inp == oup", "False",
        "nets/test_mobilenet_v2.py::test_a_residual_connection_is_there_where_shapes_agree"),
    Row("nets/layers.py", ".swapaxes(1, 2)", "",
        "nets/test_shufflenet_v1.py::test_shuffle_is_a_permutation_in_the_tutorials_order"),
    Row("nets/dropout.py", "self.words(x.shape[0]) >=", "self.words(x.shape[0])[:1] >=",
        "nets/test_drop_path.py::test_an_image_keeps_all_of_its_branch_or_nothing"),
    Row("nets/layers.py", "if shuffled_groups > 1 and not depthwise:", "if False:",
        "kernels/test_layers.py::test_a_convolution_of_shuffled_groups_is_that_of_the_shuffled_maps"),
    Row("nets/layers.py", "x = channel_shuffle(x, self.shuffled_groups)", "pass",
        "kernels/test_layers.py::test_a_convolution_of_shuffled_groups_is_that_of_the_shuffled_maps"),
    Row("nets/layers.py", "rate * number / len(ends)", "rate",
        "nets/test_drop_path.py::test_the_probability_rises_linearly_with_depth"),
    Row("nets/resnet.py", "else conv2d(3, 64, 3, pad", "else conv2d(3, 64, 3, 2, pad",
        "nets/test_other_nets.py::test_the_cifar_stem_of_resnet_keeps_small_images_large"),
    Row("nets/densenet.py", "ops.cat((x, new), 1)", "ops.cat((new, x), 1)",
        "nets/test_classic_nets.py::test_a_dense_layer_keeps_its_input_and_adds_growth_maps"),
    Row("nets/squeezenet.py", "(0, 1), (0, 1))", "(1, 0), (1, 0))",
        "nets/test_classic_nets.py::test_ceil_mode_keeps_the_window_that_ends_outside"),
    Row("nets/asymmnet.py", "Concat(*(0,) * asymmrate, 1, *(0,) * asymmrate)",
        "Concat(1, *(0,) * asymmrate, *(0,) * asymmrate)",
        "nets/test_other_nets.py::test_the_asymmetrical_bottleneck_copies_its_input_rate_times_before_and_after"),
    Row("nets/inception_v3.py", "not self.training or self.auxiliary is None", "self.auxiliary is None",
        "nets/test_classic_nets.py::test_auxiliary_logits_of_inception_are_there_in_training_only"),
    Row("nets/inception_v3.py", "elif not count_include_pad", "elif count_include_pad",
        "nets/test_classic_nets.py::test_average_pools_of_inception_count_the_padding_or_not"),
    Row("nets/squeezenet.py", "2 ** pools if ceil_mode", "2 ** pools if True",
        "nets/test_classic_nets.py::test_one_pixel_less_than_the_smallest_size_is_refused"),
    Row("nets/namesakes.py", 'if origin != "mindclf"', "if not origin",
        "nets/test_namesakes.py::test_a_file_without_a_card_is_not_taken_unless_its_origin_is_known"),
    # Images, and what becomes of them
    Row("dataset/images.py", 'image.size, "white")', 'image.size, "black")',
        "dataset/test_images.py::test_transparent_parts_turn_white"),
    Row("dataset/images.py", "and self._orientation[0] == 1", "", "dataset/test_images.py::test_a_jpeg_is_turned_upright"),
    Row("dataset/ranges.py", "for entry in usable) <= _highest", "for entry in usable) < _highest",
        "dataset/test_ranges.py::test_white_is_the_least_that_no_value_exceeds"),
    Row("dataset/ranges.py", "* 256 // (int(white) + 1)", "* 255 // int(white)",
        "dataset/test_ranges.py::test_training_and_evaluation_see_the_same_whatever_the_depth"),
    Row("dataset/statistics.py", " - mean ** 2", "",
        "dataset/test_statistics.py::test_mean_and_deviation_are_those_of_all_pixels_whatever_the_image"),
    Row("dataset/cifar10.py", "SIZE).transpose(0, 2, 3, 1)", "SIZE).transpose(0, 3, 2, 1)",
        "dataset/test_cifar10.py::test_planes_become_pixels_in_the_order_of_the_files"),
    Row("dataset/reduce.py", "(length - kept) // 2", "0",
        "dataset/test_memory.py::test_a_large_image_waits_small_and_the_net_sees_the_same_pixels"),
    Row("dataset/memory.py", "self.held + count <= self.limit", "count <= self.limit",
        "dataset/test_memory.py::test_what_is_held_stays_within_the_budget_and_all_get_their_turn"),
    Row("dataset/names.py", "if len(splits) != 1", "if not splits", "dataset/test_names.py::test_other_names_mean_no_split"),
    Row("dataset/layout.py", 'found["test"] = found.pop("valid")', "pass",
        "dataset/test_layout.py::test_a_folder_for_validation_is_told_by_its_name"),
    Row("dataset/duplicates.py", "if len(group) > 1)", "if len(group) > 2)",
        "dataset/test_duplicates.py::test_groups_are_files_with_the_same_bytes_whatever_their_names"),
    Row("dataset/kinds.py", 'head[8:12] == b"AVI "', 'head[8:12] == b"WAVE"',
        "dataset/test_kinds.py::test_the_message_says_what_the_file_is"),
    Row("dataset/download.py", '".." in path.parts', "False",
        "dataset/test_download.py::test_a_member_outside_the_folder_is_refused"),
    Row("dataset/independence.py", "{digest.hex()} {self.seen[digest]}", "{digest.hex()}",
        "dataset/test_independence.py::test_the_seed_decides_and_each_epoch_differs"),
    Row("preprocessing.py", "int(max(self.size) / self.crop_pct)", "max(self.size)",
        "dataset/test_pipeline.py::test_evaluation_brings_the_shorter_side_to_256"),
    Row("preprocessing.py", "* np.asarray(self.std) + np.asarray(self.mean)", "* np.asarray(self.std)",
        "test_preprocessing.py::test_unnormalize_inverts_normalisation"),
    # Who is on which side
    Row("dataset/content.py", "TEST_FRACTION = 0.2", "TEST_FRACTION = 0.3",
        "dataset/test_content.py::test_about_a_fifth_is_for_testing"),
    Row("dataset/content.py", 'f"validation {seed}"', '"validation"',
        "dataset/test_content.py::test_validation_is_chosen_by_seed_and_apart_from_testing"),
    Row("dataset/folder.py", "rng.permutation(members)", "members", "dataset/test_folder.py::test_hold_out_is_drawn_by_the_seed"),
    Row("dataset/folder.py", "[first in held_out for first in firsts]", "[place in held_out for place in range(len(firsts))]",
        "dataset/test_folder.py::test_hold_out_takes_copies_of_a_file_together"),
    Row("dataset/split_folder.py", "members[every - 1::every]", "members[::every]",
        "dataset/test_split_folder.py::test_every_nth_by_name_goes_to_test"),
    Row("dataset/splits.py", "list(zip(images.labels, digests))", "digests",
        "dataset/test_splits.py::test_the_digest_changes_with_one_label"),
    Row("dataset/seen.py", " | before.train", "", "dataset/test_seen.py::test_what_the_parent_has_seen_counts_as_seen"),
    # Views of training images
    Row("dataset/draws.py", "{self.phase} {self.epoch}", "{self.phase}",
        "dataset/test_draws.py::test_no_two_epochs_share_their_words"),
    Row("dataset/pipeline.py", "draws.order(len(images))", "range(len(images))",
        "dataset/test_pipeline.py::test_training_shuffles_anew_in_each_epoch_and_in_each_iterator"),
    Row("dataset/views.py", "pivot = brightness * (1 - contrast)", "contrast[:] = 1",
        VIEWS + "test_light_is_changed_as_pillow_changes_it"),
    Row("dataset/views.py", "(high - low) * area", "(1 - low) * area", BOX),
    Row("dataset/views.py", "(wide - narrow) * shape)", "(wide - narrow) * shape - narrow - wide)", BOX),
    Row("dataset/views.py", "math.exp(narrow + (wide - narrow) * shape)", "1", BOX),
    Row("dataset/policies.py", "uniform(words[:, 2]) < 0.5", "uniform(words[:, 1]) < 0.5", POLICY),
    Row("dataset/policies.py", "for part in (0, 1))", "for part in (0, 0))",
        "dataset/test_policies.py::test_auto_augment_draws_signs_that_do_not_follow_from_what_is_applied"),
    Row("dataset/views.py", 'words["erased box"]', 'words["erasing"]', VIEWS + "test_no_choice_reads_the_words_of_another"),
    Row("train/mixing.py", "mixed[0, 0, rows, columns].size / (height * width)", "side**2",
        "train/test_mixing.py::test_mixing_takes_images_and_labels_in_the_same_shares"),
    Row("dataset/views.py", " - self.cutout // 2", "", VIEWS + "test_a_square_of_the_mean_colour_has_its_centre_where_drawn"),
    Row("dataset/views.py", "-sine * flips[1], sine * flips[0]", "sine * flips[1], -sine * flips[0]",
        VIEWS + "test_a_view_is_turned_as_mindspore_turns_it"),
    # Steps of training
    Row("train/momentum.py", "momentum, 1 / loss_scale)", "momentum, 1.0)", OPTIMIZER + "[momentum-1024]"),
    Row("train/momentum.py", "decay / loss_scale for", "decay for",
        "train/test_momentum.py::test_it_takes_the_steps_of_mindspores_own"),
    Row("train/momentum.py", '"lr" not in group and ', "",
        "train/test_momentum.py::test_what_does_not_fit_has_mindspores_own"),
    Row("train/groups.py", "config.weight_decay if decays else 0.0", "config.weight_decay", OPTIMIZER + "[momentum-1]"),
    Row("train/model.py", "nn.Adam(groups,", "nn.Adam(net.trainable_params(),", OPTIMIZER + "[adam-1]"),
    Row("train/groups.py", "(len(blocks) - number)", "number",
        "train/test_groups.py::test_the_blocks_of_a_backbone_learn_slower_the_further_they_are_from_the_head"),
    Row("train/model.py", "AUXILIARY_WEIGHT = 0.3", "AUXILIARY_WEIGHT = 0.4",
        "train/test_model.py::test_an_auxiliary_head_counts_three_tenths"),
    Row("train/adamw.py", "decay / factor", "0.0 * decay", OPTIMIZER + "[adamw-1]"),
    Row("train/adamw.py", "= 0.9, 0.999", "= 0.5, 0.999", OPTIMIZER + "[adamw-1]"),
    Row("train/lr_finder.py", "FRACTION * self.rates", "self.rates",
        "train/test_lr_finder.py::test_a_tenth_of_the_rate_of_the_lowest_loss_is_suggested"),
    Row("train/lion.py", "BETA2 * moment", "BETA1 * moment", OPTIMIZER + "[lion-1]"),
    Row("train/sam.py", "grad * (self.rho", "grad * (-self.rho",
        "train/test_model.py::test_a_sharpness_aware_step_takes_the_gradient_from_up_the_hill[sgd-8-8-fields2]"),
    Row("train/ema.py", "min(self.decay, (1 + self.step) / (10 + self.step))", "self.decay",
        "train/test_ema.py::test_an_update_makes_up_for_the_steps_since_the_last"),
    Row("train/schedules.py", "(step + 1) / warmup_steps", "step / warmup_steps",
        "train/test_schedules.py::test_warmup_is_linear_and_ends_at_the_maximum"),
    Row("train/schedules.py", "math.pi * step / decay_steps", "math.pi * step / total_steps",
        "train/test_schedules.py::test_each_schedule_has_its_rates"),
    Row("train/schedules.py", "self.bad_epochs > self.patience", "self.bad_epochs >= self.patience",
        "train/test_schedules.py::test_a_plateau_lowers_the_rate_as_pytorch_does"),
    Row("train/schedules.py", 'if row["epoch"] > self.config.warmup_epochs', "if True",
        FIT + "test_a_figure_that_does_not_improve_lowers_the_rate"),
    Row("train/batches.py", "step * collectives.size() + collectives.rank()", "step", MIXED),
    Row("train/batches.py", "asnumpy(), draws, number", "asnumpy(), Draws(self.seed, self.phase, 1), number", MIXED),
    Row("train/mixing.py", "labels + (1 - fraction) * labels[partner]", "labels + (1 - fraction) * labels",
        "train/test_mixing.py::test_mixing_takes_images_and_labels_in_the_same_shares"),
    Row("train/callbacks.py", "metrics.images / seconds", "metrics.images_per_step / seconds",
        "train/test_callbacks.py::test_an_epoch_sums_up_its_steps"),
    Row("train/callbacks.py", "not math.isfinite(loss)", "math.isnan(loss)",
        "train/test_callbacks.py::test_a_loss_that_is_not_finite_stops_with_step_and_rate"),
    Row("train/features.py", "digest.update(parameter.asnumpy().tobytes())", "pass",
        FIT + "test_stored_features_are_those_of_the_net"),
    Row("train/features.py", "Draws(config.seed,", "Draws(1,", FIT + "test_every_stored_view_of_every_seed_is_another_image"),
    Row("train/features.py", "{f'-seed{config.seed}' if view else ''}", "",
        FIT + "test_every_stored_view_of_every_seed_is_another_image"),
    # A run, interrupted or not
    Row("train/fit.py", "load_checkpoint(best, net)", 'load_checkpoint(best.with_name("last.ckpt"), net)',
        FIT + "test_the_best_epoch_of_all_phases_is_kept_and_reported"),
    Row("metrics.py", 'scalars[monitor], -scalars["loss"]]', 'scalars[monitor], scalars["loss"]]',
        FIT + "test_best_is_the_best_epoch_on_the_held_out_images"),
    Row("train/softmax_regression.py", "of_kernel + weight_decay * turned", "of_kernel",
        "train/test_softmax_regression.py::test_the_gradient_is_zero_at_the_solution"),
    Row("train/tuning.py", "fold[of_image] != number", "fold[of_image] >= 0",
        "train/test_tuning.py::test_all_views_of_an_image_are_on_one_side_and_the_first_one_measures"),
    Row("train/solved_head.py", "if self.is_last and has_validation", "if has_validation",
        "train/test_solved_head.py::test_a_head_that_later_phases_go_on_from_has_not_seen_the_validation_images"),
    Row("train/accumulation.py", " if config.sam_rho else 0", " * 0", RESUMED),
    Row("train/accumulation.py", "kept * total + fraction * grad", "total + fraction * grad",
        "train/test_accumulation.py::test_accumulated_steps_are_those_of_the_large_batch"),
    Row("train/accumulation.py", "values += (one * total,)", "values += (total,)",
        "train/test_model.py::test_weights_of_the_same_shape_get_their_own_gradients_in_micro_batches"),
    Row("train/fit.py", "phase.optimizer not in SOLVED and phase.batch_size > largest", "False",
        "train/test_limits.py::test_batches_shrink_in_the_phases_that_descend"),
    Row("train/resume.py", "return max(score_of(row, DEFAULTS.monitor)", "return min(score_of(row, DEFAULTS.monitor)",
        "train/test_extend.py::test_a_run_that_is_extended_knows_the_best_epoch_that_it_had"),
    Row("train/accumulation.py", "self._add_up(images[:most]", "self._add_up(images[:size]",
        "train/test_accumulation.py::test_accumulated_steps_are_those_of_the_large_batch"),
    Row("train/clipping.py", "max_norm * step.sens", "max_norm",
        "train/test_accumulation.py::test_gradients_that_are_too_long_are_made_as_long_as_clip_norm"),
    Row("train/early_stopping.py", "value > self.best + self.min_delta", "value >= self.best + self.min_delta",
        "train/test_early_stopping.py::test_a_phase_stops_after_so_many_epochs_without_improvement"),
    Row("train/resume.py", "    if has_stopped(earlier, position", "    if False and has_stopped(earlier, position",
        "train/test_early_stopping.py::test_it_goes_on_with_more_patience_or_other_epochs"),
    Row("train/schedules.py", "self.plateau.load_state_dict(state)", "pass", RESUMED),
    Row("train/state.py", 'startswith("learning_rate")', 'startswith(("learning_rate", "global_step"))',
        "train/test_resume.py::test_the_state_of_every_optimizer_is_kept"),
    Row("train/resume.py", 'if row["epoch"] > phase.warmup_epochs', "if True",
        "train/test_extend.py::test_a_phase_that_is_over_keeps_its_epochs_and_the_last_may_have_more"),
    Row("train/resume.py", 'if card["data"]["digest"] !=', 'if [] and card["data"]["digest"] !=',
        "train/test_resume.py::test_other_images_of_the_same_names_cannot_go_on"),
    Row("pretrained.py", "    set_seeds(config.seed)\n    net = nets.build_net", "    net = nets.build_net",
        FIT + "test_what_happened_before_does_not_change_the_first_weights"),
    Row("train/output.py", "(path / HISTORY).is_file() or not", "True or not", FIT + "test_only_an_earlier_run_is_moved_aside"),
    Row("compare.py", "may_extend=False", "may_extend=True", "train/test_extend.py::test_a_comparison_extends_no_run"),
    Row("distributed/collectives.py", "reshape(steps, size, batch_size)[:, rank]", "reshape(size, steps, batch_size)[rank]",
        "distributed/test_workers.py::test_batches_are_shared_without_loss_or_double"),
    Row("distributed/launch.py", "(status and rank == failed[0])", "False",
        "distributed/test_workers.py::test_the_worker_that_failed_first_is_the_one_that_is_named"),
    Row("distributed/collectives.py", "if _rank else seed", "if False else seed",
        "distributed/test_workers.py::test_dropout_of_each_worker_has_a_seed_of_its_own"),
    Row("distributed/collectives.py", "values[_rank::_size] = rows[:mine]", "values[:mine] = rows[:mine]",
        "distributed/test_workers.py::test_every_image_is_looked_at_once"),
    # Metrics, predictions, reports
    Row("metrics.py", "top_k_accuracy(logits, labels, 5)", "top_k_accuracy(logits, labels, 4)",
        "test_metrics.py::test_top1_and_top5_count_labels_by_their_rank"),
    Row("metrics.py", "(~(logits < own)).sum(1) <= k", "(logits > own).sum(1) < k",
        "test_metrics.py::test_constant_logits_win_nothing"),
    Row("metrics.py", "float(np.nanmean(self.per_class))", "self.top1",
        "test_metrics.py::test_balanced_accuracy_is_the_mean_recall_of_the_classes_that_have_images"),
    Row("inference/batches.py", "if fill else images)[:count]", "if fill else images)",
        "inference/test_logits.py::test_every_image_is_counted_in_its_order"),
    Row("dataset/pixels.py", "return (down + 2 >> 2)", "return (down >> 2)",
        "dataset/test_pixels.py::test_half_the_size_is_the_rounded_mean_of_four_pixels"),
    Row("dataset/pixels.py", "(1 / (outputs / length)) - 0.5)", "(1 / (outputs / length)))",
        "dataset/test_pixels.py::test_any_size_is_resized_as_by_mindspore"),
    Row("inference/cells.py", "self.uncompiled_runs -= 1", "pass",
        "inference/test_runner.py::test_a_net_is_compiled_after_a_number_of_runs_and_no_bit_changes"),
    Row("kernels/variants.py", '"aarch64": "Features"', '"aarch64": "flags"',
        "kernels/test_dispatch.py::test_features_are_read_from_the_first_processor"),
    Row("inference/runner.py", "across = 2 if self.takes_pixels else 3", "across = 1 if self.takes_pixels else 2",
        "inference/test_runner.py::test_of_two_looks_the_second_is_from_left_to_right"),
    Row("inference/predictions.py", "(-probabilities).argsort", "probabilities.argsort",
        "inference/test_predictions.py::test_the_most_probable_classes_come_first_and_of_equals_the_first"),
    Row("inference/sources.py", "if len(data) > URL_BYTES", "if False",
        "inference/test_sources.py::test_standard_input_that_is_too_large_is_refused"),
    Row("explain.py", "np.maximum((weights * maps.asnumpy()).sum(1), 0)", "np.abs((weights * maps.asnumpy()).sum(1))",
        "test_explain.py::test_activations_are_equations_1_and_2_in_numpy"),
    Row("report/fonts.py", "_add(set(findSystemFonts())", "_add(set()",
        "report/test_fonts.py::test_a_font_that_was_installed_later_is_found_and_comes_before_the_shipped_one"),
    Row("report/classes.py", "np.argsort(-wrong, axis=None", "np.argsort(wrong, axis=None",
        "report/test_html.py::test_the_most_frequent_confusions_come_first"),
    Row("demo/server.py", "if type(browser) is not webbrowser.GenericBrowser:", "if True:",
        "test_demo_page.py::test_the_browser_is_opened_with_its_own_variables_but_none_that_takes_the_terminal"),
    Row("report/html.py", "np.argsort(-probabilities", "np.argsort(probabilities",
        "report/test_html.py::test_confidence_orders_mistakes_and_correct_predictions_are_none"),
    Row("report/plots.py", "axis.text(predicted, true, confusion[true, predicted]",
        "axis.text(true, predicted, confusion[true, predicted]",
        "report/test_plots.py::test_rows_of_the_confusion_matrix_are_true_classes_and_mistakes_are_red"),
    Row("report/history.py", "if None not in row.values()", "if row",
        "train/test_callbacks.py::test_a_row_that_a_full_disk_cut_short_does_not_count"),
    # Files of nets
    Row("card.py", 'if card["weights_sha256"] != sha256(path)', "if False",
        "test_checkpoint.py::test_every_flipped_bit_is_noticed"),
    Row("checkpoint.py", "values.ndim < 2", "values.ndim < 1",
        "test_checkpoint.py::test_half_precision_rounds_kernels_and_keeps_statistics"),
    Row("checkpoint.py", "if has_head or not name.startswith(HEAD_KEYS)", "if not name.startswith(HEAD_KEYS)",
        "test_checkpoint.py::test_what_does_not_fit_is_listed_key_by_key"),
    Row("export.py", "TOLERANCE = 1e-4", "TOLERANCE = 0.1",
        "test_export.py::test_logits_may_differ_by_a_ten_thousandth_of_the_largest_and_no_more"),
    Row("quantize.py", 'folder, "train", config)', 'folder, "test", config)', CALIBRATED),
    Row("quantize.py", "np.linspace(0, len(train) - 1, calibration_images).round()", "np.arange(calibration_images)", CALIBRATED),
    Row("convert/foreign.py", "value.transpose(2, 3, 0, 1) if is_depthwise", "value.transpose(2, 3, 1, 0) if is_depthwise",
        "convert/test_convert.py::test_every_variable_finds_its_place"),
    Row("convert/keras.py", "values[mean] - values.pop(key)", "values[mean] + values.pop(key)",
        "convert/test_keras.py::test_resnet_takes_biases_into_the_means_and_red_first"),
    Row("convert/pytorch.py", "image_size=299", "image_size=224",
        "convert/test_pytorch.py::test_what_a_family_was_trained_with_is_known"),
    Row("convert/zoos.py", "values[key][:LABELS]", "values[key][1:]",
        "convert/test_zoos.py::test_a_file_becomes_a_checkpoint_with_the_names_of_imagenets_classes"),
    Row("convert/zoos.py", "+ np.float32(EPSILON_SHIFT)", "", "convert/test_zoos.py::test_logits_are_those_of_the_origin"),
    Row("convert/zoos.py", "4 * outputs // max", "outputs // max",
        "convert/test_zoos.py::test_logits_are_those_of_the_origin"),
    Row("published.py", "if row.is_of(digest):", "if digest:",
        "test_published.py::test_another_file_is_deleted_and_the_next_address_tried"),
    Row("published.py", "if path.exists() and row.is_of(sha256(path)):", "if path.exists():",
        "test_published.py::test_a_damaged_download_is_not_used_and_replaced"),
    Row("checkpoint.py", "updates|accumulation_step", "accumulation_step",
        "convert/test_zoos.py::test_what_the_training_of_mindcv_saves_besides_is_told_from_weights"),
    Row("dataset/download.py", '        if not url.lower().startswith("https://"):\n            raise ValueError(f"it redirects',
        '        if False:\n            raise ValueError(f"it redirects',
        "test_published.py::test_redirects_are_followed_to_https_and_not_to_http"),
    Row("convert/tf_slim.py", '"bn_epsilon": 1e-3', '"bn_epsilon": 1e-5',
        "convert/test_convert.py::test_every_variable_finds_its_place"),
    Row("inference/onnx.py", '"Sub", ["normalise.values"', '"Add", ["normalise.values"',
        "test_export.py::test_with_preprocessing_is_without_it_after_numpys[onnx]"),
    # What people type, and where files lie
    Row("config.py", "if values.min_lr > values.lr_max", "if False", "test_config.py::test_rates_fall"),
    Row("config.py", "        if FIELDS[name].per_phase:", "        if False:",
        "test_config.py::test_an_override_replaces_a_field_in_the_phases_that_set_it"),
    Row("cli/__init__.py", 'getattr(stop, "status", 130)', "130",
        "test_cli.py::test_a_training_that_a_signal_stopped_has_the_exit_status_of_shells"),
    Row("labels.py", 'unicodedata.normalize("NFC", name)', "name",
        "dataset/test_layout.py::test_a_class_is_the_same_with_letters_composed_or_taken_apart"),
    Row("summary.py", "// sum(len(weight) for weight in weights)", "// len(weights)",
        "test_summary.py::test_every_kind_of_layer_against_arithmetic"),
    Row("doctor.py", "GIB = 2**30", "GIB = 10**9", "test_doctor.py::test_memory_is_read_in_gib"),
    Row("device.py", "ms.set_context(mode=before)", "pass", "test_summary.py::test_the_mode_is_what_it_was_also_after_an_error"),
    Row("drawings/generate.py", "default_rng([seed, ", "default_rng([0, ",
        "drawings/test_generate.py::test_another_seed_changes_every_image"),
    Row("demo/answers.py", "<b>{escape(prediction.name)}</b>", "<b>{prediction.name}</b>",
        "test_demo_page.py::test_classes_without_bins_are_answered_too_and_names_are_escaped"),
    Row("utils/files.py", "        _flush(temporary)\n", "",
        "test_checkpoint.py::test_files_and_folders_are_flushed_before_they_are_renamed"),
    Row("utils/cores.py", "math.ceil(min(cores", "math.floor(min(cores",
        "utils/test_cores.py::test_usable_cores_are_those_of_affinity_and_quota"),
    Row("utils/http.py", "allow_private or is_public(address[0])", "True",
        "inference/test_sources.py::test_a_private_address_is_refused_however_it_is_written"),
    Row("utils/claim.py", "if locked is False or", "if",
        "utils/test_claim.py::test_a_lock_that_is_held_is_enough_where_its_owner_gives_no_sign_of_life"),
    Row("utils/cache.py", "_chosen or os.environ.get(VARIABLE)", "os.environ.get(VARIABLE) or _chosen",
        "utils/test_cache.py::test_the_field_wins_over_the_variable_and_both_over_the_system"),
    Row("utils/signals.py", "128 + number", "number",
        "utils/test_signals.py::test_a_signal_stops_with_the_advice_and_the_status_of_shells"),
    Row("inference/collect.py", "tuple(predictor.classes), preprocessing", "preprocessing",
        "inference/test_collect.py::test_a_table_is_gone_on_with_by_the_same_net_only"),
    Row("inference/collect.py", "Path(os.path.realpath(parent)) / file", "Path(parent) / file",
        "inference/test_collect.py::test_a_file_is_one_image_however_it_is_named"),
    Row("inference/table.py", 'self._missing = len(content), b"\\n"', 'self._missing = len(content), b""',
        "inference/test_collect.py::test_a_last_row_whose_line_an_editor_left_open_stays"),
    Row("evaluation.py", "runner.preprocessing.read_as(Reading.of(config)).reading", "runner.preprocessing.reading",
        "test_calibration.py::test_unknown_images_are_read_as_the_fields_say"),
    Row("inference/collect.py", "if None not in known", "if any(known)",
        "inference/test_collect.py::test_what_one_of_both_knows_the_other_gets_without_the_net"),
    Row("inference/sorted_folder.py", "names.get(name.casefold())", "names.get(name)",
        "inference/test_collect.py::test_what_lies_there_is_never_overwritten_and_equal_files_are_known"),
    Row("inference/table.py", 'content.rfind(b"\\n") + 1', "len(content)",
        "inference/test_collect.py::test_a_command_that_was_stopped_goes_on_to_the_same_end"),
    Row("utils/safe_names.py", "if RESERVED.match(name)", "if False",
        "utils/test_safe_names.py::test_names_of_devices_are_changed_with_any_suffix_and_in_any_case"),
    Row("utils/progress.py", "monitor_interval = 0", "monitor_interval = 10",
        "utils/test_progress.py::test_bars_start_no_thread"),
    Row("utils/logs.py", 'not os.environ.get("NO_COLOR")', "True",
        "train/test_epoch_table.py::test_the_best_epoch_is_green_on_a_terminal_alone"),
    Row("train/epoch_table.py", 'row["phase"] != self.phase', "self.phase is None",
        "train/test_epoch_table.py::test_each_phase_has_one_header"),
    Row("metrics.py", "(top1 * images + 2) / (images + 4)", "top1",
        "train/test_checkpointing.py::test_a_standard_error_is_numpys_with_two_more_of_each_kind"),
    Row("train/checkpointing.py", "elif self.takes_latest and score[0]", "elif score[0]",
        "train/test_checkpointing.py::test_with_few_images_the_latest_epoch_within_one_standard_error_is_kept"),
    Row("train/checkpointing.py", "is_best=self.best_score is not None and self.best_epoch == self.epoch",
        "is_best=self.best_score is not None",
        "train/test_epoch_table.py::test_an_epoch_is_marked_if_none_before_it_is_as_good_and_it_was_chosen_by_validation"),
    Row("cli/hints.py", "cutoff=SIMILAR", "cutoff=0.99", "cli/test_hints.py::test_a_typing_error_gets_a_hint"),
    Row("utils/html.py", "return escape(translate(message, words))", "return translate(message, words)",
        "report/test_html.py::test_texts_from_outside_are_text"),
    # Messages in Chinese
    Row("utils/language.py", 'LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")', 'LOCALE = ("LANG", "LC_MESSAGES", "LC_ALL")',
        "utils/test_language.py::test_the_variable_says_the_language_or_else_the_locale"),
    Row("utils/language.py", "key=lambda entry: entry.weight, reverse=True", "key=lambda entry: entry.weight",
        "utils/test_language.py::test_a_finished_line_is_translated"),
    Row("utils/language.py", '_found(core, kind in ("s", "w", "p"))', "_found(core, True)",
        "utils/test_language.py::test_a_finished_line_is_translated"),
    Row("utils/language.py", "return chinese + room if text.endswith(\" \") else room + chinese", "return chinese + room",
        "utils/test_language.py::test_what_is_filled_in_keeps_its_columns"),
    Row("utils/language.py", 'in "WF" else 1', 'in "W" else 1', "utils/test_language.py::test_the_columns_of_a_terminal"),
    Row("cli/help.py", "return translate(action.help)", "return action.help",
        "test_translation.py::test_help_is_in_chinese_and_fits_79_columns"),
    Row("report/plots.py", "axis.axison)", "True)",
        "report/test_plots.py::test_plots_are_in_chinese_with_the_letters_of_the_shipped_font"),
    # Not sure
    Row("calibration.py", "high = (low, middle) if rises", "high = (middle, high) if rises",
        "test_calibration.py::test_the_temperature_is_the_one_that_labels_were_drawn_with"),
    Row("calibration.py", "(errors <= target_error) & (coverage <= most)", "errors <= target_error",
        "test_calibration.py::test_one_image_in_twenty_is_not_sure_where_all_are_correct"),
    Row("metrics.py", "(below + not_above).mean()", "(2 * below).mean()",
        "test_calibration.py::test_auroc_is_the_fraction_of_pairs_in_order"),
    Row("train/calibrating.py", ' and kind != "train"', "",
        "test_calibration.py::test_validation_images_that_the_weights_had_seen_before_do_not_count"),
    Row("train/calibrating.py", ' and not (folds and "missing" in before)', "",
        "test_calibration.py::test_without_validation_images_folds_calibrate_also_those_that_a_finished_run_is_given"),
    Row("inference/predictions.py", "self[0].probability >= self.threshold", "self[0].probability < self.threshold",
        "test_calibration.py::test_every_answer_follows_the_card"),
    Row("embedding.py", "np.where(lengths > 0, lengths, 1)", "1",
        "test_embedding.py::test_the_nearest_are_those_of_the_largest_cosine"),
    Row("embedding.py", '!= found.weights_sha256', '!= embedder.card.get("weights_sha256", "")',
        "test_embedding.py::test_features_of_other_weights_are_refused"),
    Row("report/components.py", "features.astype(np.float64) - features.mean(0, dtype=np.float64)", "features.astype(np.float64)",
        "test_embedding.py::test_principal_components_are_those_of_the_covariance"),
)


def mutated(source, row):
    """`source`, the text of a file, with the mutation of `row`. Raises CannotRun if `row.old` does not occur exactly once."""
    count = source.count(row.old)
    if count != 1:
        raise CannotRun(f"{row.file}: {row.old!r} occurs {count} times, not once: the row is stale, anchor it anew")
    return source.replace(row.old, row.new)


def check(rows, package):
    """Raises CannotRun for the first of `rows` that does not fit the files in the folder `package`."""
    for row in rows:
        file = package / row.file
        mutated(file.read_text(encoding="utf-8") if file.is_file() else "", row)


def copy_to(folder):
    """Copies what the tests need into a new `folder`; returns it."""
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    return folder


def heed_interrupts():
    """Has Ctrl-C end a process again: shells have what they start in the background ignore it, and tests of signals need it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_tests(tests, folder, seconds=SECONDS):
    """(exit status of pytest, what it printed) for `tests` of the copy in `folder`; FAILED if they take more than `seconds`."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *(f"tests/{test}" for test in tests)]
    # Bytecode that is kept would pass for that of a mutant of the same length in the same second.
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "MINDCLF_DATA": ""}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=seconds,
                              preexec_fn=heed_interrupts)
    except subprocess.TimeoutExpired:
        return FAILED, f"not over after {seconds} s"
    return done.returncode, done.stdout + done.stderr


def check_tests(rows, folder):
    """Raises CannotRun unless all tests of `rows` pass in the copy in `folder`, which nothing has changed."""
    tests = dict.fromkeys(test for row in rows for test in row.tests.split())
    status, printed = run_tests(tests, folder, SECONDS * len(rows))
    if status != PASSED or " skipped" in printed:
        raise CannotRun(f"without a mutation not all tests pass: {' '.join(printed.split())[-300:]}")


def is_killed(row, folder):
    """Whether the tests of `row` fail in the copy in `folder` while it is mutated."""
    file = folder / "mindclf" / row.file
    source = file.read_text(encoding="utf-8")
    file.write_text(mutated(source, row), encoding="utf-8")
    try:
        status, printed = run_tests(row.tests.split(), folder)
    finally:
        file.write_text(source, encoding="utf-8")
    if status not in (PASSED, FAILED):
        raise CannotRun(f"{row.file}: {row.old!r}: pytest ended with {status}: {' '.join(printed.split())[-300:]}")
    return status == FAILED


def run_rows(rows, jobs):
    """Yields for each of `rows`, in their order, whether it is killed; so many `jobs` run at once, each in a copy of its own."""
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(jobs) as pool:
        folders = SimpleQueue()
        for number in range(jobs):
            (folder := Path(temporary) / str(number)).mkdir()
            folders.put(copy_to(folder))

        def run(row):
            folder = folders.get()
            try:
                return is_killed(row, folder)
            finally:
                folders.put(folder)

        check_tests(rows, folder)
        try:
            yield from pool.map(run, rows)
        finally:
            pool.shutdown(cancel_futures=True)


def result_of(rows, killed):
    """What is written: each row and its fate, how many were killed, on which machine."""
    return {"rows": [{"file": row.file, "old": row.old, "new": row.new, "tests": row.tests.split(), "killed": is_killed}
                     for row, is_killed in zip(rows, killed)],
            "killed": sum(killed), "of": len(killed), "fraction": round(sum(killed) / len(killed), 4),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"}


def main(arguments=None):
    """Runs the rows that the arguments choose; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="PATTERN", default="*", help="rows whose 'file: old' fits, as 'train/*' or '*seed*'")
    parser.add_argument("--jobs", metavar="N", type=int, default=2, help="so many rows at once (default: 2)")
    parser.add_argument("--output", metavar="FILE", type=Path, help="write the result to this JSON file")
    options = parser.parse_args(arguments)
    rows = [row for row in ROWS if fnmatch(f"{row.file}: {row.old}", options.only)]
    killed, started = [], time.perf_counter()
    try:
        if not rows:
            raise CannotRun(f"no row fits --only {options.only!r}")
        check(rows, ROOT / "mindclf")
        for row, is_dead in zip(rows, run_rows(rows, options.jobs)):
            killed.append(is_dead)
            print(f"{'killed  ' if is_dead else 'SURVIVED'}  {row.file}: {row.old!r} -> {row.new!r}", flush=True)
    except CannotRun as error:
        print(f"mutate: {error}", file=sys.stderr)
        return 2
    result = result_of(rows, killed)
    if options.output:
        options.output.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{result['killed']} of {result['of']} killed, {result['fraction']:.1%}, in {time.perf_counter() - started:.0f} s")
    return int(result["fraction"] < ENOUGH)


if __name__ == "__main__":
    sys.exit(main())
