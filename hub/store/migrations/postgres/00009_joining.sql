-- +goose Up
ALTER TABLE requests ADD COLUMN agent_version TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';
