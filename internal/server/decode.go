package server

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// decode reads the body as JSON, within its limits of size and time.
func (x *exchange) decode(b *body) *apiError {
	x.rc.SetReadDeadline(time.Now().Add(x.s.cfg.ReadTimeout))
	defer x.rc.SetReadDeadline(time.Time{}) // from here on the connection is watched for the client's leaving
	data, bad := readBody(x.w, x.r, x.s.cfg.MaxBody)
	if bad != nil {
		return bad
	}
	if err := json.Unmarshal(data, b); err != nil {
		return badJSON("", err)
	}
	return nil
}

// Decode reads a request's body, a JSON object of at most so many bytes, into the struct
// that v points to, for [Config.Page]. Unlike the API for programs, whose clients send
// fields of other servers', it refuses fields that v lacks. It reports whether it could;
// else it has answered why not, in the API's words and shape.
func Decode(w http.ResponseWriter, r *http.Request, most int64, v any) bool {
	data, bad := readBody(w, r, most)
	if bad == nil {
		if err := json.Unmarshal(data, v); err != nil {
			bad = badJSON("", err)
		} else {
			bad = unknownField(data, v)
		}
	}
	if bad != nil && bad != errGone {
		refuse(w, bad)
	}
	return bad == nil
}

// readBody reads a request's body, a text of at most so many bytes.
func readBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, *apiError) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		if large, ok := errors.AsType[*http.MaxBytesError](err); ok { // it may be another's, and smaller
			return nil, &apiError{Status: http.StatusRequestEntityTooLarge, Reason: BadRequest, Type: typeInvalid, Code: "body_too_large",
				Message: fmt.Sprintf("the request's body is larger than %d bytes, which is this server's limit; shorten the conversation", large.Limit)}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, &apiError{Status: http.StatusRequestTimeout, Reason: BadRequest, Type: typeInvalid, Code: "body_incomplete",
				Message: "the request's body did not come in time; send it again"}
		}
		return nil, errGone // it broke off
	}
	if !utf8.Valid(data) { // decoding would silently change it
		return nil, invalid("", "the request's body is not text in UTF-8, which JSON is; encode it so")
	}
	return data, nil
}

// unknownField is the first field of a JSON object that the struct v points to lacks.
func unknownField(data []byte, v any) *apiError {
	var said map[string]json.RawMessage
	if json.Unmarshal(data, &said) != nil {
		return nil // null: no fields
	}
	var known []string
	for f := range reflect.TypeOf(v).Elem().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		known = append(known, name)
	}
	var unknown []string
	for name := range said {
		if !slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, name) }) { // as decoding compares
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	slices.Sort(known)
	return invalid(unknown[0], fmt.Sprintf("field %.40s is not known; known are %s", unknown[0], strings.Join(known, ", ")))
}

// badJSON says what is wrong with a JSON text, in words.
func badJSON(under string, err error) *apiError {
	if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		field := te.Field
		if field == "" {
			return invalid(under, fmt.Sprintf("the request's %s is a JSON %.60s where an object is expected", cmp.Or(under, "body"), te.Value))
		}
		if under != "" {
			field = under + "." + field
		}
		return invalid(field, fmt.Sprintf("field %s is a JSON %.60s where %s is expected", field, te.Value, typeWords(te.Type)))
	}
	if se, ok := errors.AsType[*json.SyntaxError](err); ok {
		return invalid("", fmt.Sprintf("the request's body is not JSON: %v, at byte %d", se, se.Offset))
	}
	return invalid(under, fmt.Sprintf("the request's %s cannot be read: %v", cmp.Or(under, "body"), err))
}

// typeWords names what a field holds.
func typeWords(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Uint64:
		return "a whole number of at least 0"
	case reflect.Float64:
		return "a number up to 1.8e308"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}
