-- +goose Up
CREATE TABLE charts (
  bundle TEXT NOT NULL,
  content TEXT NOT NULL,
  source TEXT NOT NULL,
  version TEXT NOT NULL,
  digest TEXT NOT NULL,
  url TEXT NOT NULL,
  used BIGINT NOT NULL,
  PRIMARY KEY (bundle, content, source)
);
