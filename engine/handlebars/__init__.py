"""The Handlebars template language: text and JSON values in, text out."""
