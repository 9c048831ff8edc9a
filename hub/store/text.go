package store

import (
	"strings"

	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
)

// Neither database's text can hold the character NUL, and what agents and people send may: it is left out. Refusing it would
// let one odd message of one object keep an agent's whole status from ever being recorded.

type sqliteText struct{ *sqlitedialect.Dialect }

func (d sqliteText) AppendString(b []byte, s string) []byte {
	return d.Dialect.AppendString(b, strings.ReplaceAll(s, "\x00", ""))
}

type postgresText struct{ *pgdialect.Dialect }

func (d postgresText) AppendString(b []byte, s string) []byte {
	return d.Dialect.AppendString(b, strings.ReplaceAll(s, "\x00", ""))
}
