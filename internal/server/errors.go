package server

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"orrery/think/llm"
)

// OpenAI's error types.
const (
	typeInvalid   = "invalid_request_error"
	typeAuth      = "authentication_error"
	typeRateLimit = "rate_limit_error"
	typeServer    = "server_error"
	typeUpstream  = "upstream_error"
)

// statusGone is what logs say of a client that left, after nginx. Nobody is
// there to read it.
const statusGone = 499

// apiError is an error as a client sees it, and the reason it is recorded under.
type apiError struct {
	Status     int
	Reason     Reason
	RetryAfter time.Duration // 0: not said

	Message string
	Type    string
	Param   string // the offending field; "": none
	Code    string // stable, for programs; "": none
}

// errGone ends a request whose client will not read why.
var errGone = &apiError{Status: statusGone, Reason: ClientCancelled, Type: typeServer, Message: "the client left"}

// invalid is a request that makes no sense.
func invalid(param, message string) *apiError {
	return &apiError{Status: http.StatusBadRequest, Reason: BadRequest, Type: typeInvalid, Param: param, Message: message}
}

// body is the error in OpenAI's shape: all four fields are always there.
func (e *apiError) body() any {
	orNull := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	type object struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}
	return struct {
		Error object `json:"error"`
	}{object{e.Message, e.Type, orNull(e.Param), orNull(e.Code)}}
}

// Fail answers a request with an error in the API's shape, for [Config.Page]. Code is
// for programs; "": none.
func Fail(w http.ResponseWriter, status int, code, message string) {
	kind := typeInvalid
	switch {
	case status == http.StatusTooManyRequests:
		kind = typeRateLimit
	case status >= http.StatusInternalServerError:
		kind = typeServer
	}
	refuse(w, &apiError{Status: status, Type: kind, Code: code, Message: message})
}

// retryAfter is the header's value: whole seconds, rounded up.
func (e *apiError) retryAfter() string {
	return strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds())))
}

// statuses says what the client is told about each kind of generator failure.
// 4xx is what the client can change. The generator's own credentials are not
// the client's: Auth is a bad gateway, not a 401.
var statuses = map[llm.ErrorKind]int{
	llm.Unreachable:         http.StatusBadGateway,
	llm.TLS:                 http.StatusBadGateway,
	llm.Auth:                http.StatusBadGateway,
	llm.ModelNotFound:       http.StatusNotFound,
	llm.BadRequest:          http.StatusBadRequest,
	llm.ContextOverflow:     http.StatusBadRequest, // as OpenAI does
	llm.TopLogprobsTooLarge: http.StatusBadRequest,
	llm.LogprobsUnsupported: http.StatusBadRequest,
	llm.NoTopLogprobs:       http.StatusBadRequest,
	llm.RateLimited:         http.StatusTooManyRequests,
	llm.Overloaded:          http.StatusServiceUnavailable,
	llm.FirstTokenTimeout:   http.StatusGatewayTimeout,
	llm.IdleTimeout:         http.StatusGatewayTimeout,
	llm.StreamError:         http.StatusBadGateway,
	llm.StreamTruncated:     http.StatusBadGateway,
	llm.MalformedEvent:      http.StatusBadGateway,
	llm.NotStreaming:        http.StatusBadGateway,
}

// fromRun puts a run's error into OpenAI's shape.
func fromRun(err error) *apiError {
	e := &apiError{Status: http.StatusInternalServerError, Reason: ServerError, Type: typeServer, Message: err.Error()}
	le, ok := errors.AsType[*llm.Error](err)
	if !ok {
		return e
	}
	e.Reason, e.Type, e.Code, e.Param = UpstreamError, typeUpstream, string(le.Kind), le.Param
	if status, known := statuses[le.Kind]; known {
		e.Status = status
	}
	switch {
	case le.Kind == llm.ContextOverflow:
		e.Code = "context_length_exceeded" // OpenAI's name, which clients look for
		e.Type = typeInvalid
	case le.Kind == llm.RateLimited:
		e.Type = typeRateLimit
	case e.Status < 500:
		e.Type = typeInvalid
	}
	return e
}
