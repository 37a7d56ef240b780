"""The image that an action fills or reads: the implementation of `ImageTask`."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from servers.drivers.base import Saved, Snapshot
from servers.engine import images
from servers.engine.execution.task.hosts import Hosts
from servers.models.action import CALLER
from servers.policy import Context


class Images(Hosts):
    """What a step asks of the image store."""

    def _image_id(self) -> UUID:
        if self.row.image_id is None:
            raise LookupError(f"action {self.row.pk} makes no image")
        return self.row.image_id

    def _caller(self) -> Context:
        """Return who asked for the action, with the roles of that moment.

        A record of an earlier version does not say them: then no rule is passed, and nothing of anybody's is deleted.
        """
        nobody = {"user_id": self.row.user_id, "project_id": self.row.project_id, "roles": ()}
        return Context.of(self.row.memo.get(CALLER, nobody))

    def image_target(self) -> Path:
        """Return the path on which the driver writes the image. Raises ImageStoreFault."""
        return images.store().place(self._image_id())

    def keep_image(self, snapshot: Snapshot) -> None:
        """Make the written file the image, and record it as complete. Raises LeaseLost, ImageStoreFault."""
        self.prove()
        size = images.commit(self._image_id(), snapshot)
        with self.fenced():
            images.activate(self._image_id(), snapshot, size, self.host(self.source).driver)

    def saved(self) -> Saved:
        """Return the backup that the action restores. Raises ImageStoreFault."""
        return images.saved(self._image_id())

    def rotate_images(self, backup_type: str, keep: int) -> None:
        """Delete the oldest finished backups of the server and type beyond `keep`; their bytes go last.

        Those that the caller of the action may not delete are left, do not count, and are named in its result.

        What goes is decided once, and written in one transaction: a later attempt only removes bytes. Raises
        ImageStoreFault when the store cannot be asked, and then nothing is deleted.
        """
        if "rotated_out" not in self.row.result:
            server, newest, caller = self.row.server_id, self._image_id(), self._caller()
            seen = images.survey(server, backup_type, keep, caller, newest=newest)
            with self.fenced():
                rotation = images.rotate(server, backup_type, keep, seen, caller, newest=newest)
                self.take_effect()
                out = {"rotated_out": [str(image) for image in rotation.out]}
                if rotation.left_to_others:
                    out["left_to_others"] = [str(image) for image in rotation.left_to_others]
                lost = {"lost": sorted(str(image) for image in seen.lost)}
                self.save(result={**self.row.result, **out}, memo={**self.row.memo, **lost})
        for image in {*self.row.result["rotated_out"], *self.row.memo.get("lost", [])}:
            images.discard(UUID(image))
