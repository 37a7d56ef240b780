"""Failed logins in rows that do not grow; those that django-axes kept, with addresses and browsers, are forgotten."""

from django.db import migrations, models

OF_AXES = ("accessattemptexpiration", "accessattempt", "accesslog", "accessfailurelog")


class Migration(migrations.Migration):
    dependencies = [("servers", "0013_order_in_the_queue")]

    operations = [
        migrations.CreateModel(
            name="KnownAddress",
            fields=[
                ("address", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("seen_at", models.DateTimeField(db_index=True)),
            ],
        ),
        migrations.CreateModel(
            name="LoginFailures",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "of",
                    models.CharField(
                        choices=[("pair", "Pair"), ("address", "Address"), ("all", "All")], max_length=8
                    ),
                ),
                ("name", models.CharField(blank=True, max_length=255)),
                ("address", models.CharField(blank=True, max_length=64)),
                ("failures", models.PositiveIntegerField(default=0)),
                ("names", models.PositiveIntegerField(default=0)),
                ("ends_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("of", "name", "address"), name="login_failures_once")
                ],
            },
        ),
        migrations.RunSQL([f"DROP TABLE IF EXISTS axes_{table}" for table in OF_AXES], migrations.RunSQL.noop),
        migrations.RunSQL("DELETE FROM django_migrations WHERE app = 'axes'", migrations.RunSQL.noop),
    ]
