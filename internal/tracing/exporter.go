package tracing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	wire "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// exporter sends spans by OTLP/HTTP, protobuf (opentelemetry.io/docs/specs/otlp).
type exporter struct {
	url     string
	headers map[string]string
	client  *http.Client
}

var _ sdk.SpanExporter = (*exporter)(nil)

// setting is an environment variable of traces, or of all signals.
func setting(name string) string {
	if v := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_" + name); v != "" {
		return v
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_" + name)
}

// fromEnvironment is nil if there is no endpoint, or tracing is switched off.
func fromEnvironment() (*exporter, error) {
	endpoint := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	if endpoint == "" {
		if endpoint = os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"); endpoint != "" {
			endpoint = strings.TrimRight(endpoint, "/") + "/v1/traces"
		}
	}
	if endpoint == "" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return nil, nil
	}
	if p := setting("PROTOCOL"); p != "" && p != "http/protobuf" {
		return nil, fmt.Errorf("trace: OTEL_EXPORTER_OTLP_PROTOCOL is %s and spans are sent by http/protobuf alone: give the collector's HTTP port, usually 4318", p)
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("trace: the endpoint in OTEL_EXPORTER_OTLP_ENDPOINT is not a web address: give one such as http://localhost:4318")
	}
	e := &exporter{url: endpoint, headers: map[string]string{}, client: &http.Client{Timeout: 10 * time.Second}}
	if ms := setting("TIMEOUT"); ms != "" {
		n, err := strconv.Atoi(ms)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("trace: OTEL_EXPORTER_OTLP_TIMEOUT is %q: give milliseconds", ms)
		}
		e.client.Timeout = time.Duration(n) * time.Millisecond
	}
	for pair := range strings.SplitSeq(setting("HEADERS"), ",") {
		name, value, ok := strings.Cut(pair, "=")
		if strings.TrimSpace(pair) == "" {
			continue
		}
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil {
			return nil, errors.New("trace: OTEL_EXPORTER_OTLP_HEADERS is not NAME=VALUE,NAME=VALUE with values percent-encoded") // not the text: it holds secrets
		}
		e.headers[strings.TrimSpace(name)] = value
	}
	return e, nil
}

// attempts bounds how often a batch is sent. What is lost then is spans, and the
// collector has been away for a while.
const attempts = 3

// ExportSpans implements [sdk.SpanExporter].
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	body, err := proto.Marshal(encode(spans))
	if err != nil {
		return fmt.Errorf("trace: encode spans: %w", err)
	}
	for try := 1; ; try++ {
		wait, err := e.send(ctx, body)
		if err == nil || wait == 0 || try == attempts {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

// send sends a batch once. A wait above 0 says that it may be sent again after it.
func (e *exporter) send(ctx context.Context, body []byte) (wait time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("trace: send spans: the endpoint cannot be asked")
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("User-Agent", "orrery")
	for name, value := range e.headers {
		req.Header.Set(name, value)
	}
	resp, err := e.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL, which may hold a password
		}
		return time.Second, fmt.Errorf("trace: send spans: %w", err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode/100 == 2 {
		return 0, nil
	}
	err = fmt.Errorf("trace: send spans: the collector says %s", resp.Status)
	if !slices.Contains([]int{429, 502, 503, 504}, resp.StatusCode) {
		return 0, err
	}
	if s, bad := strconv.Atoi(resp.Header.Get("Retry-After")); bad == nil && s > 0 {
		return min(time.Duration(s)*time.Second, 30*time.Second), err
	}
	return time.Second, err
}

// Shutdown implements [sdk.SpanExporter].
func (e *exporter) Shutdown(context.Context) error {
	e.client.CloseIdleConnections()
	return nil
}

// encode makes the wire form: TracesData, which is what the collector's request
// message is too.
func encode(spans []sdk.ReadOnlySpan) *wire.TracesData {
	if len(spans) == 0 {
		return &wire.TracesData{}
	}
	scope := spans[0].InstrumentationScope()
	scoped := &wire.ScopeSpans{Scope: &common.InstrumentationScope{Name: scope.Name, Version: scope.Version}}
	for _, s := range spans {
		scoped.Spans = append(scoped.Spans, span(s))
	}
	return &wire.TracesData{ResourceSpans: []*wire.ResourceSpans{{
		Resource:   &resource.Resource{Attributes: attributes(spans[0].Resource().Attributes())}, // one process, one resource
		ScopeSpans: []*wire.ScopeSpans{scoped},
	}}}
}

func span(s sdk.ReadOnlySpan) *wire.Span {
	id, trace, parent := s.SpanContext().SpanID(), s.SpanContext().TraceID(), s.Parent().SpanID()
	out := &wire.Span{
		TraceId: trace[:], SpanId: id[:], TraceState: s.SpanContext().TraceState().String(), Flags: uint32(s.SpanContext().TraceFlags()),
		Name: s.Name(), Kind: wire.Span_SpanKind(s.SpanKind()), // the numbers are the same
		StartTimeUnixNano: uint64(s.StartTime().UnixNano()), EndTimeUnixNano: uint64(s.EndTime().UnixNano()),
		Attributes: attributes(s.Attributes()), DroppedAttributesCount: uint32(s.DroppedAttributes()),
		Status: &wire.Status{Message: s.Status().Description},
	}
	if s.Parent().HasSpanID() {
		out.ParentSpanId = parent[:]
	}
	switch s.Status().Code {
	case codes.Ok:
		out.Status.Code = wire.Status_STATUS_CODE_OK
	case codes.Error:
		out.Status.Code = wire.Status_STATUS_CODE_ERROR
	}
	return out
}

func attributes(list []attribute.KeyValue) []*common.KeyValue {
	out := make([]*common.KeyValue, 0, len(list))
	for _, a := range list {
		v := &common.AnyValue{}
		switch a.Value.Type() {
		case attribute.BOOL:
			v.Value = &common.AnyValue_BoolValue{BoolValue: a.Value.AsBool()}
		case attribute.INT64:
			v.Value = &common.AnyValue_IntValue{IntValue: a.Value.AsInt64()}
		case attribute.FLOAT64:
			v.Value = &common.AnyValue_DoubleValue{DoubleValue: a.Value.AsFloat64()}
		default: // a string, or a list as text: none of our own is one
			v.Value = &common.AnyValue_StringValue{StringValue: a.Value.String()}
		}
		out = append(out, &common.KeyValue{Key: string(a.Key), Value: v})
	}
	return out
}
