-- +goose Up
-- JSON of what renderers warn of; empty where they do not.
ALTER TABLE bundles ADD COLUMN warnings TEXT NOT NULL DEFAULT '';
