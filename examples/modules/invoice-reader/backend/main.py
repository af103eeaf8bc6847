"""Renders the summary of an invoice."""

from jinja2 import Environment

TEMPLATE = Environment(autoescape=True).from_string(
    "Invoice {{ invoice.number }} of {{ invoice.sender }}: {{ invoice.total }} {{ invoice.currency }}"
)


class InvoiceReader:
    def execute(self, inputs, context):
        return {"summary": TEMPLATE.render(invoice=inputs["invoice"])}
