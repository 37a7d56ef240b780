from django.db import migrations, models


class Migration(migrations.Migration):
    """Images keep what their guest was, so that a new one can be made of them."""

    dependencies = [("servers", "0005_reconcile")]

    operations = [
        migrations.AddField(
            model_name="image",
            name="driver",
            field=models.CharField(
                blank=True, default="", help_text="Driver of the host on which it was made.", max_length=32
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="image",
            name="definition",
            field=models.TextField(
                blank=True,
                default="",
                help_text="What the guest was, in its driver's words; empty: it cannot be restored.",
            ),
            preserve_default=False,
        ),
    ]
