#!/usr/bin/env bash
# All that wants a GPU, on a machine that has one, and neither Snakemake, DVC nor a network.
#
#   benchmarks/one_gpu.sh tests OUT
#   benchmarks/one_gpu.sh benchmarks OUT
#   benchmarks/one_gpu.sh paper OUT MINUTES PROJECT [SHARDS]
#
# OUT gets logs, and from `paper` records.tar and kept.tar.00, .01, ... with what continues the
# runs: unpack both in a project's results/ (cat kept.tar.* | tar x). PROJECT is a folder outside
# of the checkout; it keeps data and results from call to call, and takes the kept.tar.* and the
# records that lie in it. SHARDS: where to prepare CIFAR-100 from, once.
# WHEELS: a folder of wheels to install first. SCALE, PAIR: instead of paper and the first pair.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
what=$1 out=$2
mkdir -p "$out"
out=$(cd "$out" && pwd)
scale=${SCALE:-paper} pair=${PAIR:-wrn-40-2:wrn-16-2}
export PYTHONPATH=$here PYTHONUNBUFFERED=1
if [ -n "${WHEELS:-}" ]; then
    site=$(mktemp -d)
    python3 -m pip install -q --no-index --no-deps --no-compile --target "$site" "$WHEELS"/*.whl
    export PYTHONPATH=$site:$here
fi

tests() {
    cd "$here"
    python3 -m pytest -q -p no:cacheprovider tests/test_cuda.py 2>&1 | tee "$out/tests.log"
    # All other parts on the default device, which is the GPU here.
    KDBENCH_DEVICE=cuda python3 -m pytest -q -n 8 -p no:cacheprovider \
        tests/engine tests/runs tests/resume tests/search tests/distill tests/models \
        2>&1 | tee "$out/parts.log"
}

benchmarks() {
    cd "$here"
    python3 benchmarks/distpro_step.py --rounds 5 2>&1 | tee "$out/distpro_step.log"
    python3 benchmarks/search_steps.py --rounds 5 2>&1 | tee "$out/search_steps.log"
    python3 benchmarks/pruned_students.py --rounds 5 2>&1 | tee "$out/pruned_students.log"
    python3 benchmarks/losses.py --rounds 5 2>&1 | tee "$out/losses.log"
    python3 benchmarks/engine.py 2>&1 | tee "$out/engine.log"
}

# More and more seeds of the same list, each until the time is up: exit code 75 says that it is.
paper() {
    local end=$((SECONDS + $1 * 60)) project=$2 shards=${3:-} code=0
    [ -z "$shards" ] || shards=$(cd "$shards" && pwd)
    mkdir -p "$project/results/$scale/records" "$project/results/$scale/artifacts"
    cp "$here/params.yaml" "$project"
    cd "$project"
    for archive in records.tar kept.tar.00; do
        if [ -f $archive ]; then
            cat ${archive%.00}* | tar x -C results
            rm ${archive%.00}*
        fi
    done
    if [ -n "$shards" ] && [ ! -d data/cifar100 ]; then
        python3 -m kdbench data prepare cifar100 --source "$shards"
    fi
    for seeds in 1 2 3 4 5; do
        for methods in '"none", "kd", "reviewkd"' '"distpro"' '"equal", "alpha_t"'; do
            local left=$(((end - SECONDS) / 60))
            [ $left -gt 0 ] || break 2
            python3 -m kdbench run --all --scale "$scale" --max-minutes $left --override \
                "{\"exhibits\": [\"distpro/table1\"], \"pairs\": [\"$pair\"], \"seeds\": $seeds,
                  \"methods_only\": [$methods]}" 2>&1 | tee -a "$out/paper.log" || code=$?
            [ $code -ne 75 ] || break 2 # the time is up, which is no failure
        done
    done
    [ $code -ne 75 ] || code=0
    tar c -C results "$scale/records" >"$out/records.tar"
    tar c -C results --exclude=data "$scale/artifacts" | split -b 15M -d - "$out/kept.tar."
    return $code
}

shift 2
"$what" "$@"
