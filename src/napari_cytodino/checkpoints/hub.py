"""Files from the Hugging Face Hub, or one sentence on why they cannot be had."""

from __future__ import annotations

import re
from pathlib import Path

from napari_cytodino.common import CheckpointError

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
"""What an id on the Hugging Face Hub looks like: owner/name."""

HUB_PATTERNS = ["*.json", "*.md", "*.safetensors"]
"""The only files that are fetched from the Hub."""


def fetch(hub_id: str, revision: str | None = None) -> Path:
    """Download the safe files of a Hub repository, or find them in the local cache.

    Parameters
    ----------
    hub_id : str
        Such as ``owner/name``.
    revision : str, optional
        A commit, branch or tag; the default branch without one.

    Raises
    ------
    CheckpointError
        One sentence: licence not accepted, unknown repository or no network, and what
        to do.
    """
    from huggingface_hub import errors, snapshot_download

    try:
        return Path(
            snapshot_download(hub_id, revision=revision, allow_patterns=HUB_PATTERNS)
        )
    except errors.GatedRepoError as error:
        raise CheckpointError(
            f"'{hub_id}' asks for its licence to be accepted: open "
            f"https://huggingface.co/{hub_id}, accept, then run `hf auth login`."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise CheckpointError(
            f"'{hub_id}' has no revision '{revision}': check it on "
            f"https://huggingface.co/{hub_id}."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise CheckpointError(
            f"There is no folder and no public Hub repository '{hub_id}': check the "
            "spelling, or run `hf auth login` if it is private."
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise CheckpointError(
            f"'{hub_id}' is no folder here and cannot be fetched without a network: "
            "connect, or give the folder of a checkpoint."
        ) from error
    except (OSError, errors.HFValidationError) as error:
        raise CheckpointError(
            f"'{hub_id}' could not be fetched from the Hugging Face Hub ({error}); "
            "try again, or give the folder of a checkpoint."
        ) from error
