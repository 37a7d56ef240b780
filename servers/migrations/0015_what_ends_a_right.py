"""Tokens and credentials say what they rest on. Tokens that do not say it have ended: their owners log in again."""

import servers.models.identity
from django.db import migrations, models


def name_memberships(apps, schema_editor):
    """Let each application credential rest on the memberships that its owner has now."""
    alias = schema_editor.connection.alias
    credentials = apps.get_model("servers", "ApplicationCredential").objects.using(alias)
    memberships = apps.get_model("servers", "Membership").objects.using(alias)
    for credential in credentials.iterator():
        own = memberships.filter(user=credential.user_id, project=credential.project_id)
        credentials.filter(pk=credential.pk).update(memberships=sorted(own.values_list("pk", flat=True)))


def stamp():
    return models.CharField(default=servers.models.identity.new_id, editable=False, max_length=32)


class Migration(migrations.Migration):
    dependencies = [("servers", "0014_logins")]

    operations = [
        migrations.AddField("domain", "security_stamp", stamp()),
        migrations.AddField("project", "security_stamp", stamp()),
        migrations.AddField("user", "security_stamp", stamp()),
        migrations.AddField(
            "applicationcredential", "memberships", models.JSONField(default=list, editable=False)
        ),
        migrations.AddField("token", "memberships", models.JSONField(default=list, editable=False)),
        migrations.AddField(
            "token", "mark", models.CharField(default="", editable=False, max_length=64), preserve_default=False
        ),
        migrations.AddField(
            "token",
            "made_from",
            models.CharField(blank=True, db_index=True, default="", editable=False, max_length=32),
            preserve_default=False,
        ),
        migrations.RunPython(name_memberships, migrations.RunPython.noop),
    ]
