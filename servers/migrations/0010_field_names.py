"""Columns follow the words of the code."""

from django.db import migrations

OPEN = ("queued", "running", "unknown")


def enqueue_again(apps, schema_editor):
    """Let open actions be enqueued anew: entries of the queue still name a function where it no longer stands."""
    actions = apps.get_model("servers", "ActionRecord").objects.using(schema_editor.connection.alias)
    actions.filter(status__in=OPEN).update(enqueued_at=None)


class Migration(migrations.Migration):
    dependencies = [("servers", "0009_tables")]

    operations = [
        migrations.RenameField("actionrecord", "rung_at", "enqueued_at"),
        migrations.RenameField("actionrecord", "progress_mark", "last_progress"),
        migrations.RenameField("actionevent", "evidence", "facts"),
        migrations.RunPython(enqueue_again, migrations.RunPython.noop),
    ]
