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
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// Lines of JSON are text to the document.
func init() {
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.FileBodyDecoder)
}

// Validator knows one document. It is safe for concurrent use.
type Validator struct{ doc *openapi3.T }

// New reads the document and checks that it is one.
func New(document []byte) (*Validator, error) {
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("reading the document: %w", err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("checking the document: %w", err)
	}
	return &Validator{doc}, nil
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

// ErrUnknown says that the document has no such operation.
var ErrUnknown = errors.New("the document does not describe this")

// Check reports with nil that the document describes this answer to this request: its
// status, its type, and every member of its body. A path that the document does not have
// must be answered 404, and a method that it does not have 405; all else is ErrUnknown.
func (v *Validator) Check(r *http.Request, status int, header http.Header, body []byte) error {
	where := fmt.Sprintf("%s %s: status %d", r.Method, r.URL.Path, status)
	template, names := v.find(r.URL.EscapedPath())
	if template == "" {
		if status == http.StatusNotFound {
			return nil
		}
		return fmt.Errorf("%s: %w", where, ErrUnknown)
	}
	item := v.doc.Paths.Value(template)
	method := r.Method
	if method == http.MethodHead {
		method, body = http.MethodGet, nil // it has no body of its own
	}
	operation := item.Operations()[method]
	if operation == nil {
		if status == http.StatusMethodNotAllowed {
			return nil
		}
		return fmt.Errorf("%s: %w", where, ErrUnknown)
	}
	options := &openapi3filter.Options{
		IncludeResponseStatus: true, ExcludeResponseBody: r.Method == http.MethodHead,
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
	}
	route := &routers.Route{Spec: v.doc, Path: template, PathItem: item, Method: method, Operation: operation}
	err := openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: names, Route: route, Options: options},
		Status:                 status, Header: header, Body: io.NopCloser(bytes.NewReader(body)), Options: options,
	})
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", where, err, body)
	}
	if r.Method != http.MethodHead && len(body) > 0 && len(operation.Responses.Status(status).Value.Content) == 0 {
		return fmt.Errorf("%s: a body where the document has none\n%s", where, body)
	}
	return nil
}

// find returns the path of the document that fits, one with fewer names in it first.
func (v *Validator) find(path string) (template string, names map[string]string) {
	asked := strings.Split(path, "/")
	for candidate := range v.doc.Paths.Map() {
		own := strings.Split(candidate, "/")
		found := map[string]string{}
		fits := slices.EqualFunc(own, asked, func(segment, value string) bool {
			if strings.HasPrefix(segment, "{") && value != "" {
				found[strings.Trim(segment, "{}")] = value
				return true
			}
			return segment == value
		})
		if fits && (template == "" || len(found) < len(names)) {
			template, names = candidate, found
		}
	}
	return template, names
}
