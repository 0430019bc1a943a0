// Package check holds the deployment files to what they deploy, offline: the
// manifests are decoded strictly into Kubernetes' own types and what they refer to
// must exist; their flags and variables must be the program's; the container file
// is parsed by BuildKit's parser, and the program built as it says must be static
// and serve from a folder that holds nothing else. It is a module of its own, so
// that the program does not depend on any of that.
package check
