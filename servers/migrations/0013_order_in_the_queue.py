"""Each action says in which class it waits, and for which host's slot; an entry of the queue no longer names one."""

from django.db import migrations, models

OPEN = ("queued", "running", "unknown")
CLASSES = {
    "control": ["abort-migration", "force-complete"],
    "moves": ["live-migration", "migrate", "confirm-resize", "revert-resize"],
    "backups": ["create-backup"],
}


def classify(apps, schema_editor):
    """Write the class of each open action: what is over waits no more."""
    actions = apps.get_model("servers", "ActionRecord").objects.using(schema_editor.connection.alias)
    for name, slugs in CLASSES.items():
        actions.filter(status__in=OPEN, slug__in=slugs).update(queue_class=name)
    asked = actions.filter(status__in=OPEN).exclude(cancel_requested_at=None)
    asked.update(queue_class="stopping")


class Migration(migrations.Migration):
    dependencies = [("servers", "0012_deployment")]

    operations = [
        migrations.RemoveField("actionrecord", "enqueued_at"),
        migrations.AddField(
            "actionrecord",
            "queue_class",
            models.CharField(
                default="general", help_text="With which others it shares the workers.", max_length=16
            ),
        ),
        migrations.AddField(
            "actionrecord",
            "waits_for_host",
            models.CharField(
                blank=True,
                default="",
                help_text="Host whose slot for a live migration it waits for.",
                max_length=255,
            ),
            preserve_default=False,
        ),
        migrations.RunPython(classify, migrations.RunPython.noop),
        migrations.AddIndex(
            "actionrecord",
            models.Index(
                fields=["waits_for_host", "queue_class", "created_at"],
                condition=models.Q(finished_at=None),
                name="action_in_queue",
            ),
        ),
    ]
