-- +goose Up
ALTER TABLE clusters ADD COLUMN policy_points TEXT NOT NULL DEFAULT '';
CREATE INDEX clusters_policy_points ON clusters (namespace) WHERE policy_points <> '';
