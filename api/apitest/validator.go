// Package apitest holds answers of the API against its OpenAPI document. It is for
// tests: of package api, and of whoever asks the API in one.
package apitest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// Lines of JSON are text to the document.
func init() {
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.FileBodyDecoder)
}

// Validator knows one document. It is safe for concurrent use.
type Validator struct {
	doc    *openapi3.T
	router routers.Router
}

// New reads the document and checks that it is one.
func New(document []byte) (*Validator, error) {
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("reading the document: %w", err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("checking the document: %w", err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("making a router of the document: %w", err)
	}
	return &Validator{doc, router}, nil
}

// Operations lists what the document describes, one "METHOD path" for each.
func (v *Validator) Operations() []string {
	var list []string
	for path, item := range v.doc.Paths.Map() {
		for method := range item.Operations() {
			list = append(list, method+" "+path)
		}
	}
	return list
}

// Check reports with nil that the document describes this answer to this request: its
// status, its type, and every member of its body. What the document has no path for is
// ErrUnknown; an answer to a method that it does not describe must be 405.
func (v *Validator) Check(r *http.Request, status int, header http.Header, body []byte) error {
	as := r.Clone(r.Context())
	as.URL.Scheme, as.URL.Host = "", "" // the document is about every host
	if as.Method == http.MethodHead {
		as.Method, body = http.MethodGet, nil // it has no body of its own
	}
	route, params, err := v.router.FindRoute(as)
	switch {
	case errors.Is(err, routers.ErrMethodNotAllowed), errors.Is(err, routers.ErrPathNotFound):
		if status == http.StatusMethodNotAllowed || status == http.StatusNotFound {
			return nil
		}
		return fmt.Errorf("%s %s: status %d: %w", r.Method, r.URL.Path, status, ErrUnknown)
	case err != nil:
		return fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, err)
	}
	options := &openapi3filter.Options{
		IncludeResponseStatus: true, ExcludeResponseBody: r.Method == http.MethodHead,
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: as, PathParams: params, Route: route, Options: options},
		Status:                 status, Header: header, Body: io.NopCloser(bytes.NewReader(body)), Options: options,
	})
	if err != nil {
		return fmt.Errorf("%s %s: status %d: %w\n%s", r.Method, r.URL.Path, status, err, body)
	}
	return nil
}

// ErrUnknown says that the document has no such operation.
var ErrUnknown = errors.New("the document does not describe this")
