-- +goose Up
-- Besides the gate's, what agents find of what runs in their clusters. finding tells apart what a policy says of one object.
ALTER TABLE policy_results ADD COLUMN point TEXT NOT NULL DEFAULT 'gate';
ALTER TABLE policy_results ADD COLUMN finding TEXT NOT NULL DEFAULT '';
ALTER TABLE policy_results ADD COLUMN revision TEXT NOT NULL DEFAULT '';
ALTER TABLE policy_results ADD COLUMN time BIGINT NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX policy_results_finding ON policy_results (cluster_uid, policy, object_group, kind, object_namespace, name, finding) WHERE point <> 'gate';
ALTER TABLE clusters ADD COLUMN policy_problems TEXT NOT NULL DEFAULT '';
