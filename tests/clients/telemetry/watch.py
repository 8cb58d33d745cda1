"""A collector of OTLP and a reader of Prometheus' formats, both by their own projects' libraries.

Prints its port, then a line with the sums so far after every message that comes; reads addresses of `/metrics` from
standard input and prints the sums of what is there, by both of Prometheus' parsers.
"""

import json
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

lock = threading.Lock()
spans = {}
points = {}


def say(value):
    with lock:
        print(json.dumps(value), flush=True)


def plain(attributes):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def take_spans(body):
    message = ExportTraceServiceRequest.FromString(body)
    for resource in message.resource_spans:
        assert plain(resource.resource.attributes)["service.name"] == "tollgate"
        for scope in resource.scope_spans:
            for span in scope.spans:
                assert len(span.trace_id) == 16 and len(span.span_id) == 8
                assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
                spans[span.span_id] = plain(span.attributes)


def take_metrics(body):
    message = ExportMetricsServiceRequest.FromString(body)
    points.clear()
    for resource in message.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                for point in getattr(metric, kind).data_points:
                    labels = plain(point.attributes)
                    value = point.sum if kind == "histogram" else getattr(point, point.WhichOneof("value"))
                    key = metric.name + "|" + labels.get("gen_ai.token.type", "")
                    points[key] = points.get(key, 0) + value


class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        assert self.headers["content-type"] == "application/x-protobuf"
        with lock:
            {"/v1/traces": take_spans, "/v1/metrics": take_metrics}[self.path](body)
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()
        total = lambda name: sum(span.get(name, 0) for span in spans.values())
        say({
            "spans": len(spans),
            "input": total("gen_ai.usage.input_tokens"),
            "output": total("gen_ai.usage.output_tokens"),
            "cost": sum(round(float(span.get("tollgate.cost_usd", 0)) * 1e12) for span in spans.values()),
            "metrics": points,
        })

    def log_message(self, *_):
        pass


def scrape(address, accept, read):
    request = urllib.request.Request(address, headers={"accept": accept})
    with urllib.request.urlopen(request) as response:
        kind, text = response.headers["content-type"], response.read().decode()
    sums = {}
    for family in read(text):
        assert family.type in ("counter", "gauge", "histogram"), family
        assert family.documentation, family
        for sample in family.samples:
            key = sample.name + "|" + sample.labels.get("gen_ai_token_type", "")
            sums[key] = sums.get(key, 0) + sample.value
    return {"kind": kind, "sums": sums}


server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=server.serve_forever, daemon=True).start()
say({"port": server.server_address[1]})
for line in sys.stdin:
    say({
        "older": scrape(line.strip(), "text/plain", parser.text_string_to_metric_families),
        "newer": scrape(line.strip(), "application/openmetrics-text", openmetrics.text_string_to_metric_families),
    })
