"""A server's number is its own: it is in the name of its guest."""

from django.db import migrations, models
from django.db.models import Count, Max, Q


def tell_apart(apps, schema_editor):
    """Give all but the oldest of the servers with one number another; the names of their guests stay."""
    servers = apps.get_model("servers", "Server").objects
    newest = servers.aggregate(newest=Max("number"))["newest"] or 0
    shared = servers.filter(number__gt=0).order_by().values("number").annotate(n=Count("pk")).filter(n__gt=1)
    for number in list(shared.values_list("number", flat=True)):
        for server in servers.filter(number=number).order_by("created_at", "pk")[1:]:
            newest += 1
            server.guest_name = server.guest_name or f"instance-{number:08x}"
            server.number = newest
            server.save(update_fields=["number", "guest_name"])


class Migration(migrations.Migration):
    dependencies = [("servers", "0006_image_definition")]

    operations = [
        migrations.RunPython(tell_apart, migrations.RunPython.noop),
        migrations.AddConstraint(
            "server",
            models.UniqueConstraint(
                fields=["number"], condition=Q(number__gt=0), name="number_is_unique"
            ),
        ),
    ]
