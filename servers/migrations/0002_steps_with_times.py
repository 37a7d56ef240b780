"""Steps get their times: two lists of names become one of steps."""

from django.db import migrations, models


def join(apps, schema_editor):
    """Turn the names of begun and done steps into steps; when they were is known for the action alone."""
    for action in apps.get_model("servers", "ActionRecord").objects.iterator():
        began = (action.started_at or action.created_at).isoformat()
        ended = (action.finished_at or action.updated_at).isoformat()
        action.steps = [
            {"name": name, "began": began, "ended": ended if name in action.done else None}
            for name in action.begun
        ]
        action.save(update_fields=["steps"])


def split(apps, schema_editor):
    for action in apps.get_model("servers", "ActionRecord").objects.iterator():
        action.begun = [step["name"] for step in action.steps]
        action.done = [step["name"] for step in action.steps if step["ended"]]
        action.save(update_fields=["begun", "done"])


class Migration(migrations.Migration):
    dependencies = [("servers", "0001_initial")]

    operations = [
        migrations.AddField(
            "actionrecord",
            "steps",
            models.JSONField(
                default=list, help_text="Steps that were begun, in order: name, began, ended."
            ),
        ),
        migrations.RunPython(join, split),
        migrations.RemoveField("actionrecord", "begun"),
        migrations.RemoveField("actionrecord", "done"),
    ]
