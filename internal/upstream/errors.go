package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"orrery/think/llm"
)

// maxWords is how much of a server's own words an error carries.
const maxWords = 2 << 10

// fault is an error together with whether the request may be sent again.
type fault struct {
	err   *llm.Error
	retry bool
	after time.Duration // the server's Retry-After; 0: none
	asked int           // the k that was refused, for TopLogprobsTooLarge
}

// fail makes an error of this backend. The remedy is the kind's own unless
// the dialect knows better.
func (c *Client) fail(kind llm.ErrorKind, route string, words string, cause error) *llm.Error {
	d := c.dialectName()
	if d == "auto" {
		d = "server" // not found out yet
	}
	return &llm.Error{
		Kind: kind, Backend: d, Route: route, Words: c.scrub(words), Remedy: remedy(kind, d), Err: c.scrubError(cause),
	}
}

func remedy(kind llm.ErrorKind, backend string) string {
	if d := dialects[backend]; d != nil && d.remedies[kind] != "" {
		return d.remedies[kind]
	}
	switch kind {
	case llm.Unreachable:
		return "check that the server runs and that the URL is right"
	case llm.TLS:
		return "use a certificate that this machine trusts, or http:// inside a trusted network"
	case llm.Auth:
		return "give an API key that this server accepts"
	case llm.ModelNotFound:
		return "name a model that the server lists under /v1/models"
	case llm.ContextOverflow:
		return "shorten the prompt, lower max_tokens, or serve with a longer context"
	case llm.TopLogprobsTooLarge:
		return "ask for fewer alternatives (--k)"
	case llm.LogprobsUnsupported, llm.NoTopLogprobs:
		return "use a server and model that give top log-probabilities, or a method that needs none"
	case llm.RateLimited:
		return "wait, or lower the number of parallel traces"
	case llm.Overloaded:
		return "wait, or lower the number of parallel traces"
	case llm.FirstTokenTimeout:
		return "raise the first-token timeout, or lower the number of parallel traces"
	case llm.IdleTimeout:
		return "look at the server's log: it stopped sending without an end"
	case llm.StreamError, llm.StreamTruncated:
		return "look at the server's log, and start a new trace with a new seed"
	case llm.MalformedEvent:
		return "update the server, or report its version and these words"
	case llm.NotStreaming:
		return "check the URL, and that no proxy in between turns streaming off"
	}
	return "change the request as the server says"
}

// scrub takes secrets out of a server's words, also pieces of them (servers
// echo keys in part), and cuts the words to maxWords.
func (c *Client) scrub(words string) string {
	const piece = 6 // shorter pieces occur by chance and give nothing away
	words = strings.ToValidUTF8(strings.TrimSpace(words), "\uFFFD")
	if len(words) > 4*maxWords {
		words = words[:4*maxWords]
	}
	for _, secret := range c.secrets {
		if secret == "" {
			continue
		}
		if len(secret) < piece {
			words = strings.ReplaceAll(words, secret, "[secret]")
			continue
		}
		var b strings.Builder
		for i := 0; i < len(words); {
			n := 0
			for i+n < len(words) && n < len(secret) && strings.Contains(secret, words[i:i+n+1]) {
				n++
			}
			if n >= piece {
				b.WriteString("[secret]")
				i += n
				continue
			}
			b.WriteByte(words[i])
			i++
		}
		words = b.String()
	}
	if len(words) > maxWords {
		cut := maxWords
		for cut > 0 && !utf8.RuneStart(words[cut]) {
			cut--
		}
		words = words[:cut]
	}
	return words
}

// scrubError keeps an error's chain but not its address: url.Error prints the
// whole URL, query and user included.
func (c *Client) scrubError(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if err == nil {
		return nil
	}
	if text := c.scrub(err.Error()); text != err.Error() {
		return errors.New(text)
	}
	return err
}

// connection classifies an error without a reply.
func (c *Client) connection(route string, err error) *fault {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		alert     tls.AlertError
	)
	if errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &verify) ||
		errors.As(err, &record) || errors.As(err, &alert) {
		return &fault{err: c.fail(llm.TLS, route, "", err)}
	}
	if strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return &fault{err: c.fail(llm.TLS, route, "", err)}
	}
	return &fault{err: c.fail(llm.Unreachable, route, "", err), retry: true}
}

var (
	contextWords = regexp.MustCompile(`(?i)(maximum|max|model'?s) (context|model|sequence)[ _]?(length|len|window)|context (length|window|size) (of|is|exceeded|has been)|exceeds? (the )?(available |maximum |model'?s )?(context|max_model_len)|context_length_exceeded|input (is )?too long|longer than the (model|context)|prompt (is )?too long`)
	tooMany      = regexp.MustCompile(`(?i)max|at most|greater than|less than or equal|between|exceed|too (large|many)|up to|\b(must|should) be (<=|≤|in)`)
	notAllowed   = regexp.MustCompile(`(?i)not (supported|allowed|available|permitted|enabled|implemented)|unsupported|does(n't| not) support|disabled|cannot be (used|requested)`)
	logprobWords = regexp.MustCompile(`(?i)(top_?)?log_?prob|n_probs`)
	modelMissing = regexp.MustCompile(`(?i)model.{0,200}(not (be )?found|does(n't| not) exist|not (loaded|available|served)|unknown)|(unknown|invalid|no such) model|model_not_found`)
)

// status classifies a reply that is not 200.
func (c *Client) status(route string, code int, header http.Header, body []byte) *fault {
	said := readWords(body)
	f := &fault{err: c.fail(llm.BadRequest, route, said.words, nil)}
	set := func(kind llm.ErrorKind) {
		f.err.Kind, f.err.Remedy = kind, remedy(kind, f.err.Backend)
	}
	f.err.Status, f.err.Param = code, c.scrub(said.param)
	all := said.words + " " + said.kind + " " + said.param
	switch {
	case code == 401 || code == 403:
		set(llm.Auth)
		if logprobWords.MatchString(said.words) { // OpenAI: "You are not allowed to request logprobs from this model"
			set(llm.LogprobsUnsupported)
		}
	case code == 408 || code == 502 || code == 503 || code == 504:
		set(llm.Overloaded)
		f.retry = true
	case code == 429:
		set(llm.RateLimited)
		f.retry = true
	case code == 500:
		set(llm.StreamError)
		f.retry = true
	case code > 500:
		set(llm.StreamError)
	case code == 413 || said.kind == "exceed_context_size_error" || contextWords.MatchString(all):
		set(llm.ContextOverflow)
	case logprobWords.MatchString(all) && notAllowed.MatchString(said.words):
		set(llm.LogprobsUnsupported)
	case logprobWords.MatchString(all) && tooMany.MatchString(said.words):
		set(llm.TopLogprobsTooLarge)
	case code == 404 && modelMissing.MatchString(all), said.kind == "model_not_found":
		set(llm.ModelNotFound)
	case code == 404:
		f.err.Remedy = "check the URL: this server has no such route"
	case code < 400:
		set(llm.NotStreaming)
	}
	if f.retry {
		f.after = retryAfter(header.Get("Retry-After"), time.Now())
	}
	return f
}

// said is what a server tells about an error.
type said struct {
	words, kind, param string
	code               int
}

// readWords finds the words in the shapes that servers use for errors:
// {"error": {"message", "type", "param", "code"}}, {"error": "…"},
// {"message"}, {"detail"}, or plain text.
func readWords(body []byte) said {
	var out said
	s := scanner{b: body}
	if s.peek() != '{' {
		if s.peek() == '"' {
			if text := s.text(nil); !s.bad {
				return said{words: string(text)}
			}
		}
		return said{words: string(body)}
	}
	text := func() string {
		if s.peek() == '"' {
			return string(s.text(nil))
		}
		return string(s.skip())
	}
	for more := s.open('{'); more; more = s.next('}') {
		switch string(s.key()) {
		case "error":
			if s.peek() == '{' {
				inner := readWords(s.skip())
				out.words, out.kind, out.param = or(inner.words, out.words), or(inner.kind, out.kind), or(inner.param, out.param)
				out.code = or(inner.code, out.code)
			} else {
				out.words = text()
			}
		case "message", "detail":
			out.words = or(out.words, text())
		case "type":
			out.kind = or(text(), out.kind)
		case "param":
			if s.peek() == '"' {
				out.param = string(s.text(nil))
			} else {
				s.skip()
			}
		case "code":
			if s.peek() == '"' {
				code := string(s.text(nil))
				if n, err := strconv.Atoi(code); err == nil {
					out.code = n
				} else {
					out.kind = or(out.kind, code)
					if code == "model_not_found" || code == "context_length_exceeded" {
						out.kind = code
					}
				}
			} else {
				out.code, _ = strconv.Atoi(string(s.skip()))
			}
		default:
			s.skip()
		}
	}
	if s.bad || out.words == "" {
		out.words = string(body)
	}
	return out
}

// event classifies an error that came inside a stream.
func (c *Client) event(route string, body []byte) *fault {
	said := readWords(body)
	if said.code >= 400 && said.code < 600 {
		return c.status(route, said.code, nil, body)
	}
	f := &fault{err: c.fail(llm.StreamError, route, said.words, nil)}
	if said.kind == "exceed_context_size_error" || contextWords.MatchString(said.words) {
		f.err.Kind, f.err.Remedy = llm.ContextOverflow, remedy(llm.ContextOverflow, f.err.Backend)
	}
	return f
}

// retryAfter reads seconds or an HTTP date.
func retryAfter(v string, now time.Time) time.Duration {
	if v == "" {
		return 0
	}
	if n, err := strconv.ParseFloat(v, 64); err == nil && n >= 0 && n < 1e6 {
		return time.Duration(n * float64(time.Second))
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
