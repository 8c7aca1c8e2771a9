package api

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
)

// The document is made of files, one for each part of the API: base.json has what all
// share, and each of the others adds its paths, tags, schemas and the like.
//
//go:embed openapi
var documents embed.FS

// Document returns the OpenAPI document, or says which two files describe one thing.
func Document() ([]byte, error) {
	files, err := fs.Glob(documents, "openapi/*.json")
	if err != nil {
		return nil, fmt.Errorf("listing the parts of the document: %w", err)
	}
	slices.Sort(files)
	whole := map[string]any{}
	for _, file := range files {
		raw, err := documents.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading the document: %w", err)
		}
		var part map[string]any
		if err := json.Unmarshal(raw, &part); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		if err := merge(whole, part); err != nil {
			return nil, fmt.Errorf("adding %s: %w", file, err)
		}
	}
	return json.Marshal(whole)
}

// merge adds what part has to whole: objects member by member, lists one behind the
// other. Nothing stands in two parts.
func merge(whole, part map[string]any) error {
	for name, value := range part {
		old, there := whole[name]
		if !there {
			whole[name] = value
			continue
		}
		switch old := old.(type) {
		case map[string]any:
			more, ok := value.(map[string]any)
			if !ok {
				return fmt.Errorf("%q is an object in another part", name)
			}
			if err := merge(old, more); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		case []any:
			more, ok := value.([]any)
			if !ok {
				return fmt.Errorf("%q is a list in another part", name)
			}
			whole[name] = append(old, more...)
		default:
			return fmt.Errorf("%q stands in another part as well", name)
		}
	}
	return nil
}

func (a *API) serveDocument(*call) (any, error) { return json.RawMessage(a.document), nil }
