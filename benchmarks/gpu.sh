#!/usr/bin/env bash
# The whole GPU round in under ten minutes: tests, speed of every detector whose weights are there,
# RetinaFace's table, a profile. For a machine with one GPU and torch; needs no network.
#
#   benchmarks/gpu.sh [PICTURES]
#
# PICTURES   folder of photographs; without it pictures are drawn
# DEEPFACE_HOME                    where .deepface/weights is
# DEEPFACE_ALLOW_UNKNOWN_WEIGHTS   1 for weights that are not the published files
# PYTHON, OUT, DETECTORS, BATCHES, REPEAT, DEVICE   see below; DEVICE=cpu tries the script out
set -u
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
DEVICE=${DEVICE:-cuda}
BATCHES=${BATCHES:-1,8,20,32,64}
REPEAT=${REPEAT:-3}
DETECTORS=${DETECTORS:-yolov11n,yolov11m,yolov8n,retinaface,retinaface-mobilenet0.25,retinaface-resnet50,ssd,mtcnn,fastmtcnn,yunet}
OUT=${OUT:-benchmarks/results}
# Writes weights of the published layouts for recognition models whose files are not there.
STAND_INS=${STAND_INS:-../shared/parity/reference_weights.py}
MADE=()
[ -f "$STAND_INS" ] && MADE=(--stand-ins "$STAND_INS")
LARGEST=${BATCHES##*,}
TAG=${DEVICE/cuda/gpu}
IMAGES=(--limit "$LARGEST")
[ $# -gt 0 ] && IMAGES+=(--images "$1")
export DEEPFACE_OFFLINE=1 PYTHONUNBUFFERED=1 DEEPFACE_LOG_LEVEL=${DEEPFACE_LOG_LEVEL:-40}

if [ "$DEVICE" = cuda ] && ! "$PYTHON" -c "import sys, torch; sys.exit(not torch.cuda.is_available())"; then
    echo "no CUDA device: torch of $PYTHON sees none" >&2
    exit 2
fi

mkdir -p "$OUT"
failed=0
# step SECONDS NAME COMMAND...: what takes longer is ended; results written so far stay.
step() {
    local limit=$1 name=$2 start=$SECONDS
    shift 2
    echo "== $name"
    timeout "$limit" "$@" 2>&1 || { echo "!! $name ended with $?"; failed=1; }
    echo "== $name: $((SECONDS - start)) s"
}
bench() {
    local limit=$1 command=$2
    shift 2
    step "$limit" "$command $*" "$PYTHON" -m benchmarks "$command" "$@" \
        --device "$DEVICE" --repeat "$REPEAT" --out "$OUT" --tag "$TAG" "${IMAGES[@]}"
}

step 60 tests "$PYTHON" -m pytest -m gpu -q
bench 70 profile --detector "$DETECTORS" --batch 32 --stand-ins
bench 40 haar --batch 1,8,16,64
bench 80 retinaface
bench 60 pipeline --detector yolov11n,yolov11m --model "${MODEL:-Facenet}" --decode cpu,device \
    ${MADE[@]+"${MADE[@]}"}
bench 40 decode --batch "$LARGEST" --model "${MODEL:-Facenet}" ${MADE[@]+"${MADE[@]}"}
bench 130 detect --detector "$DETECTORS" --batch "$BATCHES" --stand-ins
bench 110 detect --detector "$DETECTORS" --batch "$BATCHES" --stand-ins --function detect_faces
exit "$failed"
