package task

import "regexp"

// query is the last sentence of a question.
type query struct {
	name  string
	kinds [2]string
}

func (q query) String() string {
	return "Is " + q.name + " a " + q.kinds[0] + " or " + q.kinds[1] + "?"
}

// queryForm also matches the wording "a x or a y" of derived files.
var queryForm = regexp.MustCompile(`Is (\w+) an? (\w+) or (?:an? )?(\w+)\?$`)

func findQuery(question string) (q query, ok bool) {
	m := queryForm.FindStringSubmatch(question)
	if m == nil {
		return q, false
	}
	return query{m[1], [2]string{m[2], m[3]}}, true
}
