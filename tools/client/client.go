// Package client pins what a client of the API is made of that is generated from the
// OpenAPI document: a test of package api generates one, builds it and uses it.
package client

import _ "github.com/oapi-codegen/runtime" // what the generated code imports
