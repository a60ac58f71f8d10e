#!/usr/bin/env bash
# All that wants a GPU, on a machine that has one, and neither Snakemake, DVC nor a network.
#
#   benchmarks/one_gpu.sh tests OUT
#   benchmarks/one_gpu.sh benchmarks OUT
#   benchmarks/one_gpu.sh together OUT             trainings at once: in one process; in two of
#                                                  them, without MPS and with it
#   benchmarks/one_gpu.sh paper OUT MINUTES PROJECT [SHARDS]
#
# OUT gets log.txt, and from `paper`, every minute and at the end, records.tar, runs-0.tar, ... with
# what this call has added (slices.py says how): at most 8 files of 15 MiB, 64 MiB in all. Whoever
# ends the machine loses a minute. `python benchmarks/slices.py unpack OUT PROJECT` puts them into a
# project elsewhere. PROJECT is a folder outside of the checkout; it keeps data, results and
# params.yaml from call to call, and takes such files that lie in it. MINUTES, such as 8.5: when the
# runs are asked to save and stop. SHARDS: where to prepare CIFAR-100 from, once.
# WHEELS: a folder of wheels to install first. SCALE, PAIR: instead of paper and the first pair.
# TOGETHER=3: so many trainings at once in one process. LANES=2: the student alone is trained beside all else, in a process of its own, and evaluated
# later, on any machine (`kdbench run`). MPS=on: NVIDIA's
# multi-process service lets kernels of both run at once, where it is installed.
# KDBENCH_COMMIT: the commit of this copy, for the records, where it has no .git, or that of another
# commit.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
what=$1 out=$2
mkdir -p "$out"
out=$(cd "$out" && pwd)
scale=${SCALE:-paper} pair=${PAIR:-wrn-40-2:wrn-16-2}
export PYTHONPATH=$here PYTHONUNBUFFERED=1 CUBLAS_WORKSPACE_CONFIG=:4096:8
[ -z "${KDBENCH_COMMIT:-}" ] || export GIT_DIR=/dev/null # what is said stands over what is found
export KDBENCH_CHECKPOINT_SECONDS=${KDBENCH_CHECKPOINT_SECONDS:-30}
exec > >(trap '' TERM INT && exec tee -a "$out/log.txt") 2>&1
if [ -n "${WHEELS:-}" ]; then
    site=$(mktemp -d)
    python3 -m pip install -q --no-index --no-deps --no-compile --target "$site" "$WHEELS"/*.whl
    export PYTHONPATH=$site:$here
fi

# Only the files that hold such tests: others import what is not installed here. All at once, each
# for TEST_SECONDS at most, so that one that hangs takes nothing but its own time.
tests() {
    cd "$here"
    local file files pids=() k failed=0
    mapfile -t files < <(grep -rl --include='test_*.py' '\bmark\.cuda' tests)
    for file in "${files[@]}"; do
        # pytest-benchmark, where it is installed, warns of what is not its business.
        timeout "${TEST_SECONDS:-150}" python3 -m pytest -q -m cuda -p no:cacheprovider \
            -p no:benchmark --tb=short "$file" >"$out/$(basename "$file" .py).txt" 2>&1 &
        pids+=($!)
    done
    for k in "${!pids[@]}"; do # no plain wait: it would wait for the log's tee too
        wait "${pids[$k]}" || failed=$?
        tail -n 30 "$out/$(basename "${files[$k]}" .py).txt"
        rm "$out/$(basename "${files[$k]}" .py).txt"
    done
    return $failed
}

benchmarks() {
    cd "$here"
    # What a call with little time should know comes first.
    python3 benchmarks/gpu_grid.py --grid bf16:nhwc:on bf16:nhwc:off --out "$out"
    python3 benchmarks/gpu_grid.py --methods none kd --seconds 0.2 --name gpu_formats --out "$out"
    python3 benchmarks/distpro_step.py --rounds 5 --minutes 0.5 --out "$out"
    KDBENCH_GRAPHS=off python3 benchmarks/engine.py --rounds 5 --seconds 0.3
    python3 benchmarks/engine.py --rounds 5 --seconds 0.3
    python3 benchmarks/search_steps.py --rounds 5 --minutes 1 --out "$out"
    python3 benchmarks/pruned_students.py --rounds 5
    python3 benchmarks/losses.py --rounds 5
}

# Lanes of one process; then two processes that train the student alone, of which each prints its
# own speed.
together() {
    cd "$here"
    [ -n "${MPS_TRIED:-}" ] || python3 benchmarks/lanes.py --out "$out"
    local k pids=()
    for k in 1 2; do
        KDBENCH_DEVICE=cuda:0 python3 benchmarks/gpu_grid.py --methods none kd \
            --grid bf16:nhwc:on --seconds 4 --name "together-$k" --out "$out" &
        pids+=($!)
    done
    wait "${pids[@]}"
    [ -z "${MPS_TRIED:-}" ] || return 0
    MPS_TRIED=yes
    if start_mps; then
        echo "the same with MPS"
        together
    fi
}

start_mps() {
    if ! command -v nvidia-cuda-mps-control; then
        echo "no MPS here"
        return 1
    fi
    CUDA_MPS_PIPE_DIRECTORY=$(mktemp -d)
    export CUDA_MPS_PIPE_DIRECTORY CUDA_MPS_LOG_DIRECTORY=$CUDA_MPS_PIPE_DIRECTORY
    nvidia-cuda-mps-control -d
}

pack() {
    python3 "$here/benchmarks/slices.py" pack "$project" "$scale" "$out"
}

# At any end: no run goes on, and what it saved is packed.
finish() {
    local code=$?
    trap - EXIT
    trap '' TERM INT
    [ -z "${packer:-}" ] || kill "$packer" 2>/dev/null || true
    if [ -n "${lane:-}" ]; then
        kill "$lane" 2>/dev/null || true
        wait "$lane" 2>/dev/null || true
    fi
    if [ -n "${run:-}" ]; then
        kill "$run" 2>/dev/null || true
        wait "$run" 2>/dev/null || true
    fi
    pack
    exit $code
}

# Seconds until the time is up, or "" then.
seconds_left() {
    awk "BEGIN { left = $end - $(date +%s.%N); if (left > 0) printf \"%.3f\", left }"
}

# Ends a command when the time is up as a scheduler would: it saves and exits with code 75. The time
# to start Python counts too, which --max-minutes leaves out.
until_time_is_up() {
    local code=0 left
    left=$(seconds_left)
    [ -n "$left" ] || return 75
    timeout --preserve-status --kill-after 30 "$left" "$@" &
    run=$!
    wait "$run" || code=$?
    run=
    [ -n "$(seconds_left)" ] || code=75
    return $code
}

# The student alone, seed by seed; it needs no teacher.
students_alone() {
    local seed
    trap - EXIT
    trap '[ -z "${run:-}" ] || { kill "$run"; wait "$run"; }; exit 143' TERM INT
    for seed in 0 1 2 3 4; do
        until_time_is_up python3 -m kdbench run "${pair##*:}_none_s$seed" --scale "$scale" \
            --override "{\"exhibits\": [\"distpro/table1\"], \"pairs\": [\"$pair\"]}" || return 0
    done
}

# More and more seeds of the same list, until the time is up, which is no failure.
paper() {
    end=$(awk "BEGIN { printf \"%.3f\", $(date +%s.%N) + 60 * $1 }")
    local shards=${3:-} code=0
    [ -z "$shards" ] || shards=$(cd "$shards" && pwd)
    mkdir -p "$2/results"
    project=$(cd "$2" && pwd)
    cd "$project"
    [ -f params.yaml ] || cp "$here/params.yaml" .
    python3 "$here/benchmarks/slices.py" unpack . .
    rm -f records.tar runs-*.tar ./*.tar.[0-9][0-9]
    python3 "$here/benchmarks/slices.py" note . "$scale"
    trap finish EXIT
    trap 'exit 143' TERM INT
    # sleep outlives its shell; were the log open in it, the log would never end.
    (while sleep "${PACK_SECONDS:-60}" >/dev/null 2>&1; do pack || true; done) &
    packer=$!
    if [ -n "$shards" ] && [ ! -d data/cifar100 ]; then
        until_time_is_up python3 -m kdbench data prepare cifar100 --source "$shards" || code=$?
        [ $code -ne 75 ] || return 0
        [ $code -eq 0 ] || return $code
    fi
    local seeds methods failed=0 first='"none", "kd", "reviewkd"'
    if [ "${LANES:-1}" -gt 1 ]; then
        export KDBENCH_DEVICE=${KDBENCH_DEVICE:-cuda:0} # or one waits until the GPU is free
        [ "${MPS:-off}" = off ] || start_mps || true
        first='"kd", "reviewkd"'
        students_alone &
        lane=$!
    fi
    for seeds in 1 2 3 4 5; do
        for methods in "$first" '"distpro"' '"equal", "alpha_t"'; do
            [ -n "$(seconds_left)" ] || return $failed
            code=0
            until_time_is_up python3 -m kdbench run --all --together "${TOGETHER:-1}" \
                --scale "$scale" --override \
                "{\"exhibits\": [\"distpro/table1\"], \"pairs\": [\"$pair\"], \"seeds\": $seeds,
                  \"methods_only\": [$methods]}" || code=$?
            [ $code -ne 75 ] || return $failed
            [ $code -eq 0 ] || failed=$code # of one method; the others are tried all the same
        done
    done
    return $failed
}

shift 2
"$what" "$@"
