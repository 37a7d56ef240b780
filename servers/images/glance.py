"""Images in the site's own Glance. Needs the extra `openstack`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

from keystoneauth1 import exceptions
from keystoneauth1.identity.generic import Password
from keystoneauth1.session import Session
from requests import Response
from requests.exceptions import RequestException

from servers.errors import ImageMissing, ImageStoreFault, ImageStoreUnavailable, TooManyWaiting
from servers.images.base import ImageFacts, ImageStore, Stored
from servers.images.draft import digest, require_digest, translated
from servers.images.local import CHUNK_BYTES, LocalImageStore
from servers.waiting import PLACES

WHOLE = {"active", "deactivated"}
"""Glance's statuses of an image that has all its bytes; nobody can read a deactivated one, for as long as it is."""
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
BYTES = {"Content-Type": "application/octet-stream"}


@dataclass(frozen=True)
class Account:
    """Who Gantry is at Keystone: a user with the role admin, because it makes images that belong to others."""

    url: str
    user: str
    password: str
    project: str
    domain_id: str
    timeout_s: float


@lru_cache(maxsize=1)
def session_of(account: Account) -> Session:
    """Return the session of an account, which keeps its token."""
    auth = Password(
        account.url,
        username=account.user,
        password=account.password,
        project_name=account.project,
        user_domain_id=account.domain_id,
        project_domain_id=account.domain_id,
    )
    return Session(auth, timeout=account.timeout_s)


class GlanceImageStore(ImageStore):
    """A driver writes into a folder here, and what it wrote is uploaded from there.

    Glance never changes the bytes of an image that has some, nor gives an id twice, not even a deleted one's.
    """

    def __init__(self, address: str, account: Account, folder: Path | str) -> None:
        self.address = f"{address}/v2/images"
        self.account = account
        self.drafts = LocalImageStore(folder)

    # ------------------------------------------------------------------------------------- the promises

    def announce(self, image: ImageFacts) -> None:
        self._record_or_new(image)

    def place(self, image: UUID) -> Path:
        return self.drafts.place(image)

    def commit(self, image: ImageFacts, sha256: str) -> int:
        draft = self.drafts.draft(image.uuid)
        with translated(image.uuid):
            require_digest(draft, sha256)
        record = self._record_or_new(image)
        if record["status"] == "saving":  # an upload that broke off: Glance has not noticed yet
            raise ImageStoreUnavailable(reason=f"Glance still waits for an earlier upload of {image.uuid}")
        if record["status"] not in WHOLE:
            self._upload(record, image, draft)
        size = self._require_arrived(image.uuid, draft)
        self.drafts.discard(image.uuid)
        return size

    def discard(self, image: UUID) -> None:
        self.drafts.discard(image)
        answer = self._ask("DELETE", f"/{image}")
        if answer.status_code not in {204, 404}:
            raise refused(answer)

    def open(self, image: UUID, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        size = self.look(image).size_bytes
        asked = range(size)[start:end]
        if not asked:
            return iter(())
        part = {"Range": f"bytes={asked.start}-{asked.stop - 1}"} if len(asked) < size else {}
        answer = self._ask("GET", f"/{image}/file", headers=part, stream=True)
        if answer.status_code in {204, 404}:
            raise ImageMissing(image=image)
        if answer.status_code != (206 if part else 200):
            raise refused(answer)
        return chunks(answer)

    def look(self, image: UUID) -> Stored:
        record = self._record(image)
        if record is None or record["status"] not in WHOLE:
            raise ImageMissing(image=image)
        return Stored(record["size"], record["protected"])

    # -------------------------------------------------------------------------------------- the record

    def _record(self, image: UUID) -> dict[str, Any] | None:
        """Return what Glance says of an image, or None."""
        answer = self._ask("GET", f"/{image}")
        if answer.status_code == 404:
            return None
        return said(answer, 200)

    def _record_or_new(self, image: ImageFacts) -> dict[str, Any]:
        """Return the image's record; make it where there is none."""
        known = self._record(image.uuid)
        if known is not None:
            return known
        answer = self._ask("POST", "", json=new_record(image))
        if answer.status_code == 409:  # somebody else was faster, or it was deleted
            known = self._record(image.uuid)
            if known is None:
                raise ImageStoreFault(reason=f"image {image.uuid} was deleted in Glance")
            return known
        record = said(answer, 201)
        if image.shared_with:
            members = {"member": image.shared_with}
            said(self._ask("POST", f"/{image.uuid}/members", json=members), 200)
        return record

    def _upload(self, record: Mapping[str, Any], image: ImageFacts, draft: Path) -> None:
        if record["disk_format"] != image.disk_format:
            change = [{"op": "replace", "path": "/disk_format", "value": image.disk_format}]
            said(self._ask("PATCH", f"/{image.uuid}", json=change, headers=PATCH), 200)
        with translated(draft), draft.open("rb") as file:
            answer = self._ask("PUT", f"/{image.uuid}/file", data=file, headers=BYTES)
        if answer.status_code != 204:
            raise refused(answer)

    def _require_arrived(self, image: UUID, draft: Path) -> int:
        """Return the size when Glance has the draft, byte for byte; it would take a part of it for an image."""
        record = self._record(image)
        if record is None or record["status"] not in WHOLE:
            raise ImageStoreFault(reason=f"Glance has not kept what was uploaded for {image}")
        size = draft.stat().st_size
        if record["size"] != size or record["os_hash_value"] != digest(draft, record["os_hash_algo"]):
            raise ImageStoreFault(reason=f"Glance has other bytes of {image} than were uploaded")
        return size

    # -------------------------------------------------------------------------------------- the wire

    def _ask(self, method: str, path: str, **request: Any) -> Response:
        """Return Glance's answer. Raises ImageStoreUnavailable where there is none."""
        with reached(), PLACES.place():
            session = session_of(self.account)
            answer: Response = session.request(self.address + path, method, raise_exc=False, **request)
            return answer


def new_record(image: ImageFacts) -> dict[str, Any]:
    """Return the body that makes an image; no property takes the place of what an image is."""
    return {
        **image.properties,
        "id": str(image.uuid),
        "name": image.name,
        "owner": image.project_id,
        "visibility": image.visibility,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "protected": False,
        "tags": [],
    }


def said(answer: Response, expected: int) -> dict[str, Any]:
    """Return the object in an answer that has the expected status. Raises ImageStoreFault."""
    if answer.status_code != expected:
        raise refused(answer)
    body: dict[str, Any] = answer.json()
    return body


def refused(answer: Response) -> ImageStoreFault:
    """Return the fault for an answer that says no; one of Glance's own troubles may be over the next time."""
    text = " ".join(answer.text.split())[:300]
    kind = ImageStoreUnavailable if answer.status_code >= 500 else ImageStoreFault
    return kind(reason=f"Glance answered {answer.status_code}: {text}")


def chunks(answer: Response) -> Iterator[bytes]:
    """Yield the bytes of an answer, and let go of its connection."""
    with answer, reached(), PLACES.place():
        yield from answer.iter_content(CHUNK_BYTES)


@contextmanager
def reached() -> Iterator[None]:
    """Turn what keeps us from Glance, or from the Keystone before it, into ImageStoreFault."""
    try:
        yield
    except TooManyWaiting as refusal:
        raise ImageStoreUnavailable(reason=str(refusal)) from refusal
    except (exceptions.ConnectionError, exceptions.DiscoveryFailure, exceptions.HttpServerError) as error:
        raise ImageStoreUnavailable(reason=type(error).__name__) from error
    except RequestException as error:
        raise ImageStoreUnavailable(reason=type(error).__name__) from error
    except exceptions.ClientException as error:
        raise ImageStoreFault(reason=f"Keystone answered: {error}") from error
