"""Gantry as a site runs it: its own processes, told of Keystone and Glance by the environment alone."""

from __future__ import annotations

import hashlib

from keystoneauth1.adapter import Adapter

from tests.openstack.glance import Glance
from tests.openstack.keystone import Keystone, password
from tests.running import gantry


def test_client_finds_gantry_in_the_catalogue_and_its_backup_in_glance(
    keystone: Keystone, glance: Glance
) -> None:
    settings = {
        "IDENTITY": "keystone",
        "KEYSTONE_URL": keystone.url,
        "KEYSTONE_PASSWORD": password("gantry"),
        "IMAGES": "glance",
        "GLANCE_URL": glance.url,
    }
    with gantry(**settings) as running:
        keystone.offer("compute", f"{running.address}/v2.1", region="running")
        compute = Adapter(
            keystone.admin,
            service_type="compute",
            region_name="running",
            min_version="2.1",
            max_version="2.latest",
            default_microversion="2.45",
        )
        asked = {"all_tenants": "1", "status": "ACTIVE", "limit": "1"}
        server = compute.get("/servers", params=asked).json()["servers"][0]
        wanted = {"createBackup": {"name": "nightly", "backup_type": "daily", "rotation": 1}}
        image = compute.post(f"/servers/{server['id']}/action", json=wanted).json()["image_id"]
        glance.wait_until(image, "active", keystone.admin)
        seen = glance.show(keystone.admin, image)
        content = keystone.admin.get(f"{glance.url}/v2/images/{image}/file").content
    assert seen is not None and seen["instance_uuid"] == server["id"]
    assert seen["os_hash_value"] == hashlib.new(seen["os_hash_algo"], content).hexdigest()
