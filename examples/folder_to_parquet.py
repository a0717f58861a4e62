"""From a folder of pictures to a Parquet file of embeddings, on as many machines as Ray has.

    python examples/folder_to_parquet.py PHOTOS faces --detector yunet --model Facenet --actors 2

Without a cluster Ray starts one on this machine. With one, set RAY_ADDRESS and pass a folder that
every machine sees. ``--gpus 1`` gives each actor a GPU and lets the CPUs decode.
"""

from __future__ import annotations

import argparse

import ray

from deepface.distributed import FaceRows, decode
from deepface.images.files import list_images


def main() -> None:
    """Read the arguments, run, say what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="pictures, also those of the folders below")
    parser.add_argument("output", help="folder for the Parquet files")
    parser.add_argument("--detector", default="opencv")
    parser.add_argument("--model", default="Facenet")
    parser.add_argument("--actors", type=int, default=2, help="how many hold the models")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs per actor")
    parser.add_argument("--batch-size", type=int, default=64)
    args = parser.parse_args()

    paths = [{"path": path} for path in list_images(args.folder)]
    pictures: ray.data.Dataset = ray.data.from_items(paths)
    if args.gpus:
        pictures = pictures.map_batches(decode, batch_format="pyarrow", batch_size=args.batch_size)
    faces = pictures.map_batches(
        FaceRows,
        fn_constructor_kwargs={"detector_backend": args.detector, "model_name": args.model},
        batch_format="pyarrow",
        batch_size=args.batch_size,
        compute=ray.data.ActorPoolStrategy(size=args.actors),
        num_gpus=args.gpus,
    )
    faces.write_parquet(args.output)
    written = ray.data.read_parquet(args.output, columns=["path", "error"]).to_pandas()
    failed = written[written["error"].notna()]
    print(f"{len(written) - len(failed)} faces in {args.output}; {len(failed)} pictures failed")
    for path, error in failed.itertuples(index=False):
        print(f"  {path}: {error}")


if __name__ == "__main__":
    main()
