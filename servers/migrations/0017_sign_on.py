"""Second factors, whom an OpenID provider knows, and which memberships follow its groups."""

import django.db.models.deletion
from django.db import migrations, models

import servers.clock


def of_user(name):
    return models.OneToOneField(
        on_delete=django.db.models.deletion.CASCADE,
        primary_key=True,
        related_name=name,
        serialize=False,
        to="servers.user",
    )


class Migration(migrations.Migration):
    dependencies = [("servers", "0016_audit_trail")]

    operations = [
        migrations.CreateModel(
            name="SecondFactor",
            fields=[
                ("user", of_user("second_factor")),
                ("sealed", models.TextField(editable=False)),
                ("last_step", models.BigIntegerField(default=0, editable=False)),
                ("failures", models.PositiveIntegerField(default=0, editable=False)),
                ("recovery", models.JSONField(default=list, editable=False)),
                ("made_at", models.DateTimeField(default=servers.clock.now, editable=False)),
            ],
        ),
        migrations.CreateModel(
            name="FederatedIdentity",
            fields=[
                ("user", of_user("federated_identity")),
                ("issuer", models.CharField(editable=False, max_length=255)),
                ("subject", models.CharField(editable=False, max_length=255)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("issuer", "subject"), name="federated_once")
                ],
            },
        ),
        migrations.AddField(
            "membership", "by_sign_on", models.BooleanField(default=False, editable=False)
        ),
    ]
