from django.db import migrations, models


class Migration(migrations.Migration):
    """Deleted images remember whether the store has let go of their bytes."""

    dependencies = [("servers", "0002_steps_with_times")]

    operations = [
        migrations.AddField(
            model_name="image",
            name="discarded_at",
            field=models.DateTimeField(
                blank=True,
                help_text="When the store has let go of the bytes; empty while they may be left.",
                null=True,
            ),
        ),
    ]
