// Package openapi embeds the OpenAPI document of the status API, generated from its proto.
package openapi

import _ "embed"

// Document is OpenAPI 2.0, JSON.
//
//go:embed periplus.swagger.json
var Document []byte
