"""What the query of a list of servers may say."""

from __future__ import annotations

from servers.api.compute.periods import period_terms
from servers.api.compute.server_filters import FILTERS, TAG_FILTERS
from servers.api.compute.validation import PAGING, TEXT, Query, Term

_IGNORED = (
    "auto_disk_config block_device_mapping services metadata system_metadata info_cache security_groups"
    " pci_devices soft_deleted"
)

SORT_FIELDS = {
    "availability_zone": "availability_zone",
    "created_at": "created_at",
    "display_description": "description",
    "display_name": "name",
    "host": "host__name",
    "hostname": "hostname",
    "image_ref": "image_ref",
    "instance_type_id": "flavor_id",
    "key_name": "key_name",
    "launched_at": "launched_at",
    "locked": "locked_by",
    "locked_by": "locked_by",
    "node": "host__hypervisor_hostname",
    "power_state": "power_state",
    "progress": "progress",
    "project_id": "project_id",
    "task_state": "task_state",
    "terminated_at": "terminated_at",
    "updated_at": "updated_at",
    "user_id": "user_id",
    "uuid": "uuid",
    "vm_state": "vm_state",
}
SORT_ADMIN_ONLY = {"host", "node"}
_CONSTANT_FIELDS = "access_ip_v4 access_ip_v6 auto_disk_config config_drive kernel_id launch_index ramdisk_id root_device_name"
_SORT_IGNORED = (
    "architecture cell_name cleaned default_ephemeral_device default_swap_device deleted deleted_at"
    " disable_terminate ephemeral_gb ephemeral_key_uuid id key_data launched_on memory_mb os_type"
    " reservation_id root_gb shutdown_terminate user_data vcpus vm_mode"
)
"""Taken and ignored until 2.74 (nova/api/openstack/compute/schemas/servers.py)."""

_SORT_KEYS = sorted({*SORT_FIELDS, *_CONSTANT_FIELDS.split()})

LIST_QUERY = Query(
    terms=(
        *(Term(name, TEXT) for name in FILTERS if name != "locked"),
        *(Term(name, TEXT) for name in ("all_tenants", "deleted", "status", "ip", "ip6", *_IGNORED.split())),
        *(Term(name, TEXT, since="2.26") for name in TAG_FILTERS),
        Term("locked", TEXT, since="2.73"),
        *period_terms("2.1"),
        Term("sort_key", {"type": "string", "enum": [*_SORT_KEYS, *_SORT_IGNORED.split()]}, until="2.74"),
        Term("sort_key", {"type": "string", "enum": _SORT_KEYS}, since="2.75"),
        Term("sort_dir", {"type": "string", "enum": ["asc", "desc"]}),
        *PAGING,
    ),
    strict="2.75",
)
