package check

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// types are the kinds that are used, by apiVersion and kind.
var types = map[string]func() any{
	"v1/ServiceAccount":                      func() any { return &corev1.ServiceAccount{} },
	"v1/Secret":                              func() any { return &corev1.Secret{} },
	"v1/Service":                             func() any { return &corev1.Service{} },
	"apps/v1/Deployment":                     func() any { return &appsv1.Deployment{} },
	"apps/v1/StatefulSet":                    func() any { return &appsv1.StatefulSet{} },
	"policy/v1/PodDisruptionBudget":          func() any { return &policyv1.PodDisruptionBudget{} },
	"autoscaling/v2/HorizontalPodAutoscaler": func() any { return &autoscalingv2.HorizontalPodAutoscaler{} },
	"networking.k8s.io/v1/NetworkPolicy":     func() any { return &networkingv1.NetworkPolicy{} },
}

// objects decodes every manifest; a field that its kind does not have fails.
func objects(t *testing.T) map[string]any {
	t.Helper()
	files, err := filepath.Glob("../kubernetes/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("the manifests are %v, %v", files, err)
	}
	all := map[string]any{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, doc := range bytes.Split(b, []byte("\n---\n")) {
			var head struct {
				APIVersion, Kind string
				Metadata         struct{ Name string }
			}
			if err := yaml.Unmarshal(doc, &head); err != nil {
				t.Fatalf("%s, object %d: %v", file, i, err)
			}
			make, known := types[head.APIVersion+"/"+head.Kind]
			if !known {
				t.Fatalf("%s, object %d: no kind %s of %s is known here", file, i, head.Kind, head.APIVersion)
			}
			o := make()
			if err := yaml.UnmarshalStrict(doc, o); err != nil {
				t.Errorf("%s, %s %s: %v", file, head.Kind, head.Metadata.Name, err)
			}
			id := head.Kind + " " + head.Metadata.Name
			if all[id] != nil || head.Metadata.Name == "" {
				t.Errorf("%s: %s is there twice, or has no name", file, id)
			}
			all[id] = o
		}
	}
	return all
}

// workload is what Deployments and StatefulSets have in common.
type workload struct {
	name     string
	labels   map[string]string
	selector map[string]string
	pod      *corev1.PodSpec
}

func workloads(all map[string]any) (out []workload) {
	for _, id := range slices.Sorted(maps.Keys(all)) {
		switch o := all[id].(type) {
		case *appsv1.Deployment:
			out = append(out, workload{o.Name, o.Spec.Template.Labels, o.Spec.Selector.MatchLabels, &o.Spec.Template.Spec})
		case *appsv1.StatefulSet:
			out = append(out, workload{o.Name, o.Spec.Template.Labels, o.Spec.Selector.MatchLabels, &o.Spec.Template.Spec})
		}
	}
	return out
}

func selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}

// What one object names in another must be there.
func TestReferences(t *testing.T) {
	all := objects(t)
	ws := workloads(all)
	if len(ws) != 3 {
		t.Fatalf("%d workloads", len(ws))
	}
	find := func(selector map[string]string) *workload {
		for i := range ws {
			if selects(selector, ws[i].labels) {
				return &ws[i]
			}
		}
		return nil
	}
	secret := func(where, name, key string) {
		s, ok := all["Secret "+name].(*corev1.Secret)
		if !ok || s.StringData[key] == "" {
			t.Errorf("%s: there is no %s in a secret %s", where, key, name)
		}
	}
	for _, w := range ws {
		if !selects(w.selector, w.labels) {
			t.Errorf("%s selects %v of pods labelled %v", w.name, w.selector, w.labels)
		}
		if a := w.pod.ServiceAccountName; a != "" && all["ServiceAccount "+a] == nil {
			t.Errorf("%s: there is no service account %s", w.name, a)
		}
		if w.pod.AutomountServiceAccountToken == nil || *w.pod.AutomountServiceAccountToken {
			t.Errorf("%s: pods get a token of the cluster, which none needs", w.name)
		}
		volumes := map[string]bool{}
		for _, v := range w.pod.Volumes {
			volumes[v.Name] = true
			if v.Secret != nil {
				for _, i := range v.Secret.Items {
					secret(w.name, v.Secret.SecretName, i.Key)
				}
			}
		}
		if s, ok := all["StatefulSet "+w.name].(*appsv1.StatefulSet); ok {
			for _, c := range s.Spec.VolumeClaimTemplates {
				volumes[c.Name] = true
			}
			if all["Service "+s.Spec.ServiceName] == nil {
				t.Errorf("%s: there is no service %s", w.name, s.Spec.ServiceName)
			}
		}
		for _, c := range w.pod.Containers {
			ports := map[string]bool{}
			for _, p := range c.Ports {
				ports[p.Name], ports[strconv.Itoa(int(p.ContainerPort))] = true, true
			}
			for name, p := range map[string]*corev1.Probe{"startup": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
				if p != nil && p.HTTPGet != nil && !ports[p.HTTPGet.Port.String()] {
					t.Errorf("%s: the %s probe asks port %s, of %v", w.name, name, p.HTTPGet.Port.String(), ports)
				}
			}
			if c.ReadinessProbe == nil || c.LivenessProbe == nil {
				t.Errorf("%s: no probes", w.name)
			}
			if _, ok := c.Resources.Limits[corev1.ResourceMemory]; !ok || c.Resources.Requests == nil {
				t.Errorf("%s: its memory has no limit, or nothing is requested", w.name)
			}
			if s := c.SecurityContext; s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.Capabilities == nil || !slices.Contains(s.Capabilities.Drop, "ALL") {
				t.Errorf("%s: its security context lets privileges through", w.name)
			}
			for _, m := range c.VolumeMounts {
				if !volumes[m.Name] {
					t.Errorf("%s: there is no volume %s", w.name, m.Name)
				}
			}
			for _, e := range c.Env {
				if e.ValueFrom != nil {
					secret(w.name, e.ValueFrom.SecretKeyRef.Name, e.ValueFrom.SecretKeyRef.Key)
				}
			}
		}
		policy, ok := all["NetworkPolicy "+w.name].(*networkingv1.NetworkPolicy)
		if !ok || !selects(policy.Spec.PodSelector.MatchLabels, w.labels) {
			t.Errorf("%s: no network policy is about it", w.name)
		}
	}
	for id, o := range all {
		switch o := o.(type) {
		case *corev1.Service:
			w := find(o.Spec.Selector)
			if w == nil {
				t.Errorf("%s selects no pod", id)
				continue
			}
			for _, p := range o.Spec.Ports {
				target := p.TargetPort.String()
				if target == "0" {
					target = strconv.Itoa(int(p.Port))
				}
				if !hasPort(w.pod, target) {
					t.Errorf("%s: port %s is none of its pods'", id, target)
				}
			}
		case *policyv1.PodDisruptionBudget:
			if find(o.Spec.Selector.MatchLabels) == nil {
				t.Errorf("%s selects no pod", id)
			}
		case *autoscalingv2.HorizontalPodAutoscaler:
			if r := o.Spec.ScaleTargetRef; all[r.Kind+" "+r.Name] == nil {
				t.Errorf("%s scales %s %s, which is not there", id, r.Kind, r.Name)
			}
			d := all["Deployment "+o.Spec.ScaleTargetRef.Name].(*appsv1.Deployment)
			if *o.Spec.MinReplicas < 2 || *d.Spec.Replicas < 2 {
				t.Errorf("%s goes down to %d replicas", id, *o.Spec.MinReplicas)
			}
		case *networkingv1.NetworkPolicy:
			for _, in := range o.Spec.Ingress {
				for _, p := range in.Ports {
					if w := find(o.Spec.PodSelector.MatchLabels); w == nil || !hasPort(w.pod, p.Port.String()) {
						t.Errorf("%s lets port %s in, which its pods don't have", id, p.Port.String())
					}
				}
			}
		}
	}
}

func hasPort(p *corev1.PodSpec, name string) bool {
	for _, c := range p.Containers {
		for _, port := range c.Ports {
			if port.Name == name || strconv.Itoa(int(port.ContainerPort)) == name {
				return true
			}
		}
	}
	return false
}

// args are orrery's in its Deployment, and the pod.
func args(t *testing.T) ([]string, *corev1.PodSpec) {
	d := objects(t)["Deployment orrery"].(*appsv1.Deployment)
	return d.Spec.Template.Spec.Containers[0].Args, &d.Spec.Template.Spec
}

// The pod's grace must outlast all that the program does after SIGTERM: notice,
// drain, twice 5 s for last words, 10 s for the record (internal/server, internal/cli).
func TestGrace(t *testing.T) {
	list, pod := args(t)
	need := 20 * time.Second
	for _, name := range []string{"--notice=", "--drain="} {
		i := slices.IndexFunc(list, func(a string) bool { return strings.HasPrefix(a, name) })
		if i < 0 {
			t.Fatalf("there is no %s", name)
		}
		d, err := time.ParseDuration(strings.TrimPrefix(list[i], name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "--notice=" && d < time.Duration(pod.Containers[0].ReadinessProbe.PeriodSeconds*pod.Containers[0].ReadinessProbe.FailureThreshold)*time.Second {
			t.Errorf("the notice of %v is over before a probe has seen that the pod is not ready", d)
		}
		need += d
	}
	if grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; grace < need {
		t.Errorf("the pod is killed after %v and needs %v", grace, need)
	}
}

var variable = regexp.MustCompile(`\bORRERY_[A-Z_]+\b`)

// Every flag and variable of the deployment files and their document is the
// program's: --help after them reads them all, and an unknown one is an error.
func TestFlagsAndVariables(t *testing.T) {
	list, _ := args(t)
	if out, code := run(t, append(slices.Clone(list), "--help")...); code != 0 {
		t.Errorf("orrery %s: exit code %d\n%s", strings.Join(list, " "), code, out)
	}
	if out, code := run(t, append(slices.Clone(list), "--no-such-flag", "--help")...); code != 2 || !strings.Contains(out, "no-such-flag") {
		t.Errorf("a flag that is not there: exit code %d\n%s", code, out)
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"../kubernetes/orrery.yaml", "../../Containerfile", "../../docs/deploy.md"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range variable.FindAll(b, -1) {
			if !bytes.Contains(binary, name) {
				t.Errorf("%s names the variable %s, which the program does not know", file, name)
			}
		}
	}
	doc, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	help, _ := run(t, "serve", "--help")
	for _, flag := range regexp.MustCompile("`(--[a-z-]+)").FindAllSubmatch(doc, -1) {
		if !strings.Contains(help, string(flag[1])+" ") {
			t.Errorf("docs/deploy.md names the flag %s, which serve does not have", flag[1])
		}
	}
	// The same of the Containerfile's command.
	for _, line := range []string{`"ready"`, `"serve", "--listen", ":8888", "--log-format", "json"`} {
		b, err := os.ReadFile("../../Containerfile")
		if err != nil || !strings.Contains(string(b), line) {
			t.Fatalf("the Containerfile lacks %s: %v", line, err)
		}
		words := strings.Split(strings.NewReplacer(`"`, "", " ", "").Replace(line), ",")
		if out, code := run(t, append(words, "--help")...); code != 0 {
			t.Errorf("orrery %v: exit code %d\n%s", words, code, out)
		}
	}
}
