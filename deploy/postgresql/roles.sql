-- Two roles: gantry_owner makes and changes tables (manage.py migrate), gantry works with what is in them (web and workers).
-- As a superuser, with passwords of your own:
--   CREATE ROLE gantry_owner LOGIN PASSWORD '…'
--   CREATE ROLE gantry LOGIN PASSWORD '…'
--   CREATE DATABASE gantry OWNER gantry_owner
-- then this file in that database, before the first migrate:
ALTER DEFAULT PRIVILEGES FOR ROLE gantry_owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO gantry;
ALTER DEFAULT PRIVILEGES FOR ROLE gantry_owner GRANT USAGE, SELECT ON SEQUENCES TO gantry;
ALTER SCHEMA public OWNER TO gantry_owner;
GRANT USAGE ON SCHEMA public TO gantry;
