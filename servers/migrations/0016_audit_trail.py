"""The audit trail takes the place of the histories, which become its first records."""

from collections import deque

import servers.clock
from django.db import migrations, models

AT_ONCE = 500
VERBS = {"+": "created", "~": "changed", "-": "deleted"}
HISTORIES = {
    "HistoricalHost": "host",
    "HistoricalProject": "project",
    "HistoricalUser": "user",
    "HistoricalMembership": "membership",
    "HistoricalApplicationCredential": "application credential",
}


def keep_histories(apps, schema_editor):
    """Write each change that the histories have: what differs from the entry before of the same object."""
    alias = schema_editor.connection.alias
    Record = apps.get_model("servers", "AuditRecord")
    for name, kind in HISTORIES.items():
        history = apps.get_model("servers", name)
        columns = [
            field
            for field in history._meta.concrete_fields
            if not field.name.startswith("history_") and field.name not in {"id", "who", "door"}
        ]
        written, last, before = deque(), None, {}
        for row in history.objects.using(alias).order_by("id", "history_date", "history_id").iterator(AT_ONCE):
            if row.id != last:
                last, before = row.id, {}
            now = {field.name: plain(getattr(row, field.attname)) for field in columns}
            after = {} if row.history_type == "-" else now
            changed = [key for key in now if before.get(key) != after.get(key)]
            if changed:
                written.append(record(Record, kind, row, pick(before, changed), pick(after, changed)))
            before = after
            if len(written) >= AT_ONCE:
                Record.objects.using(alias).bulk_create(written)
                written.clear()
        Record.objects.using(alias).bulk_create(written)


def record(Record, kind, row, before, after):
    return Record(
        at=row.history_date,
        who=row.who,
        who_id=row.history_user_id or "",
        door=row.door,
        verb=VERBS[row.history_type],
        object_type=kind,
        object_id=str(row.id).replace("-", ""),
        object_name=getattr(row, "name", "") or getattr(row, "role", ""),
        project_id=getattr(row, "project_id", "") or "",
        before=before,
        after=after,
        reason=row.history_change_reason or "",
    )


def pick(values, names):
    return {name: values[name] for name in names if values.get(name) is not None}


def plain(value):
    return value if value is None or isinstance(value, (bool, int, float, str, list, dict)) else str(value)


class Migration(migrations.Migration):
    dependencies = [('servers', '0015_what_ends_a_right')]

    operations = [
        migrations.CreateModel(
            name='AuditRecord',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(default=servers.clock.now)),
                ('who', models.CharField(blank=True, max_length=255)),
                ('who_id', models.CharField(blank=True, max_length=64)),
                ('on_behalf_of', models.CharField(blank=True, help_text='The user in whose stead it was done.', max_length=255)),
                ('door', models.CharField(max_length=16)),
                ('source', models.CharField(blank=True, help_text='Address, or machine.', max_length=255)),
                ('request_id', models.CharField(blank=True, max_length=64)),
                ('verb', models.CharField(max_length=32)),
                ('object_type', models.CharField(max_length=32)),
                ('object_id', models.CharField(max_length=64)),
                ('object_name', models.CharField(blank=True, max_length=255)),
                ('project_id', models.CharField(blank=True, max_length=64)),
                ('before', models.JSONField(default=dict)),
                ('after', models.JSONField(default=dict)),
                ('reason', models.TextField(blank=True)),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [
                    models.Index(fields=['at', 'id'], name='audit_of_time'),
                    models.Index(fields=['request_id', 'at', 'id'], name='audit_of_request'),
                    models.Index(fields=['object_id', 'at', 'id'], name='audit_of_object'),
                    models.Index(fields=['who', 'at', 'id'], name='audit_of_person'),
                ],
            },
        ),
        migrations.CreateModel(
            name='AuditLink',
            fields=[
                ('number', models.PositiveBigIntegerField(primary_key=True, serialize=False)),
                ('record_id', models.PositiveBigIntegerField(unique=True)),
                ('digest', models.CharField(max_length=64)),
                ('chained_at', models.DateTimeField(default=servers.clock.now)),
            ],
            options={
                'ordering': ['number'],
            },
        ),
        migrations.RunPython(keep_histories, migrations.RunPython.noop),
        *(migrations.DeleteModel(name) for name in HISTORIES),
    ]
