// Ours, not Swagger UI's: a file of its own, because the pages allow no inline script.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true });
